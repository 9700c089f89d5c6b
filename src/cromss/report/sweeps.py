"""The runs of one sweep: their states, and the settings in which they differ."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cromss.report.read import read_runs
from cromss.runs.metrics import read_metrics_table
from cromss.runs.names import METRICS
from cromss.runs.state import RunState, states_of
from cromss.runs.sweep_plan import planned_runs

log = logging.getLogger(__name__)


def status(folder: Path) -> str:
    """One line per run: state, epochs, the settings in which it differs, and its score, job or last error line.

    Raises:
        ValueError: There is no sweep in this folder.
    """
    if not folder.is_dir():
        raise ValueError(f"status={folder} is no folder: name that of a sweep, as outputs/sweeps/NAME")
    runs = planned_runs(folder)
    folders = [folder / run.folder for run in runs]
    states = states_of(folders)
    common = set(runs[0].overrides).intersection(*(run.overrides for run in runs)) if len(runs) > 1 else set()
    names = [" ".join(override for override in run.overrides if override not in common) for run in runs]
    width = max(map(len, names))
    lines = [
        f"{state.state:12}{_epochs(path, state):>9}  {name:{width}}  {state.detail}".rstrip()
        for name, path, state in zip(names, folders, states, strict=True)
    ]
    counts = Counter(state.state for state in states)
    total = ", ".join(f"{count} {name}" for name, count in counts.items())
    return "\n".join([*lines, "", f"{len(runs)} run{'s' * (len(runs) != 1)}: {total}", ""])


@dataclass(frozen=True)
class Ablation:
    """A sweep as W&B shows it.

    Attributes:
        name: The sweep's.
        settings: Paths in a run's config there of what the runs differ in beside the seed, such as ``selection.prop``,
            or ``choices.fusion`` for an option.
        branches: Of the networks, such as ``s1``.
        is_tested: Whether final scores are those of tests.
    """

    name: str
    settings: Sequence[str]
    branches: Sequence[str]
    is_tested: bool

    def final(self, branch: str) -> str:
        """Name of the final mean IoU of a branch."""
        return f"{'test' if self.is_tested else 'val'}/{branch}/miou"


def read_ablation(folder: Path) -> Ablation:
    """Reads it from the folder of a sweep.

    Raises:
        ValueError: It is no sweep's folder, or no run has measured a mean IoU yet.
    """
    # From the plan, to include runs that have not begun.
    said = [dict(_setting(override) for override in run.overrides) for run in planned_runs(folder)]
    found = read_runs([folder])
    for problem in found.problems:
        log.warning("Left out: %s", problem)
    names = [name for run in found.runs for name in run.metrics.values]
    branches = list(dict.fromkeys(match[1] for name in names if (match := re.fullmatch(r"val/(\w+)/miou", name))))
    if not branches:
        raise ValueError(f"no run of {folder} has a val/…/miou in its metrics.csv: a report would be empty")
    groups = {group for run in found.runs for group in run.choices}
    keys = dict.fromkeys(key for overrides in said for key in overrides if key != "seed")
    differing = [key for key in keys if len({overrides.get(key) for overrides in said}) > 1]
    return Ablation(
        name=folder.resolve().name,
        settings=[f"choices.{key}" if key in groups else key for key in differing],
        branches=branches,
        is_tested=any(run.results is not None for run in found.runs),
    )


def _epochs(folder: Path, state: RunState) -> str:
    """How many epochs are trained, of how many, as ``"3/50"``."""
    path = folder / METRICS
    if state.record is None or not path.is_file():
        return ""
    try:
        last = max(read_metrics_table(path).epochs, default=-1)
    except (ValueError, OSError) as error:
        log.warning("%s cannot be read: %s", path, error)
        return f"?/{state.record.epochs}"
    return f"{last + 1}/{state.record.epochs}"


def _setting(override: str) -> tuple[str, str]:
    key, _, value = override.lstrip("+~").partition("=")
    return key.partition("@")[0], value
