"""What became of the runs of a sweep, one line each."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from cromss.report.output import deliver
from cromss.runs.metrics import read_metrics_table
from cromss.runs.names import METRICS
from cromss.runs.state import RunState, states_of
from cromss.runs.sweep_plan import planned_runs

log = logging.getLogger(__name__)


def show_status(folder: Path, out: Path | None) -> None:
    """Shows the state of every run of a sweep.

    Args:
        folder: The sweep's.
        out: A file for it; None for the terminal.

    Raises:
        ValueError: There is no sweep in this folder.
        OSError: `out` cannot be written.
    """
    deliver(status(folder), out)


def status(folder: Path) -> str:
    """A line a run: its state, how far it came, what tells it from the others, and its score, job or last error line.

    Args:
        folder: The sweep's.

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
        f"{state.state:12}{_epochs(place, state):>9}  {name:{width}}  {state.detail}".rstrip()
        for name, place, state in zip(names, folders, states, strict=True)
    ]
    counts = Counter(state.state for state in states)
    total = ", ".join(f"{count} {name}" for name, count in counts.items())
    return "\n".join([*lines, "", f"{len(runs)} run{'s' * (len(runs) != 1)}: {total}", ""])


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
