"""What the runs of a sweep differ in, and what they measured: all that a report about them needs to know."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cromss.runs.metrics import read_metrics_table
from cromss.runs.names import METRICS, RESULTS
from cromss.runs.record import read_record
from cromss.runs.sweep_plan import planned_runs

_PARTS = 3
"""Of the name of a score, such as ``val/s2/miou``."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ablation:
    """A sweep, seen from W&B.

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

    Args:
        folder: The sweep's.

    Raises:
        ValueError: It is no sweep's folder, or no run has measured a mean IoU yet.
    """
    runs = planned_runs(folder)
    folders = [folder / run.folder for run in runs]
    files = [path / METRICS for path in folders if (path / METRICS).exists()]
    scores = [name.split("/") for name in dict.fromkeys(name for path in files for name in _columns(path))]
    branches = [parts[1] for parts in scores if len(parts) == _PARTS and parts[0] == "val" and parts[-1] == "miou"]
    if not branches:
        raise ValueError(f"no run of {folder} has a val/…/miou in its metrics.csv: a report would be empty")
    records = [record for path in folders if (record := read_record(path)) is not None]
    groups = {group for record in records for group in record.choices}
    said = [dict(_setting(override) for override in run.overrides) for run in runs]
    keys = dict.fromkeys(key for overrides in said for key in overrides if key != "seed")
    differing = [key for key in keys if len({overrides.get(key) for overrides in said}) > 1]
    return Ablation(
        name=folder.resolve().name,
        settings=[f"choices.{key}" if key in groups else key for key in differing],
        branches=branches,
        is_tested=any((path / RESULTS).exists() for path in folders),
    )


def _setting(override: str) -> tuple[str, str]:
    key, _, value = override.lstrip("+~").partition("=")
    return key.partition("@")[0], value


def _columns(path: Path) -> Sequence[str]:
    try:
        return read_metrics_table(path).names
    except (ValueError, OSError) as error:
        log.warning("Left out: %s: %s", path, error)
        return []
