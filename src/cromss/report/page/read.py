"""Finds and reads all runs below some folders."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cromss.report.page.run_folder import PageRun, is_run, read_folder
from cromss.report.runs import check_folders
from cromss.runs.state import states_of

log = logging.getLogger(__name__)

_INSIDE = {"checkpoints", "panels", "wandb", "predictions"}
"""Folders of a run that hold many files and no runs."""


@dataclass(frozen=True)
class PageRuns:
    """All runs of a page.

    Attributes:
        folders: Where was searched.
        runs: Those that could be read, in the order of their names.
        problems: What could not be read, sentences.
    """

    folders: Sequence[Path]
    runs: Sequence[PageRun]
    problems: Sequence[str]


def read_runs(folders: Sequence[Path]) -> PageRuns:
    """Reads every run below the folders; what cannot be read is warned of and left out.

    Args:
        folders: Searched to any depth; a run below two of them counts once.

    Raises:
        ValueError: One is no folder, or there is no run.
    """
    check_folders(folders)
    found = {path.resolve(): (path, name) for folder in folders for path, name in _below(folder, len(folders) > 1)}
    runs: list[PageRun] = []
    problems: list[str] = []
    for path, name in sorted(found.values(), key=lambda pair: pair[1]):
        try:
            run = read_folder(path, name)
        except (ValueError, OSError) as error:
            problems.append(f"{name}: {error}")
        else:
            runs.append(run)
            problems += run.problems
    for problem in problems:
        log.warning("Left out: %s", problem)
    if not runs:
        raise ValueError(
            f"no runs below {', '.join(map(str, folders))} that could be read: name the folder that `python train.py` "
            "wrote to, such as runs=outputs"
        )
    return PageRuns(folders, _with_living(runs), problems)


def _with_living(runs: Sequence[PageRun]) -> list[PageRun]:
    """A record says that its run is under way until the run itself says otherwise, which a killed one never does."""
    claimed = [run for run in runs if run.state == "running"]
    states = states_of([run.path for run in claimed])
    gone = {run.path for run, state in zip(claimed, states, strict=True) if state.state == "interrupted"}
    return [replace(run, state="interrupted") if run.path in gone else run for run in runs]


def _below(folder: Path, several: bool) -> Iterator[tuple[Path, str]]:
    """Folders of runs, and what they are called: from where was searched, which is named where it is not the only."""
    for place, inner, files in os.walk(folder):
        path = Path(place)
        hidden = {name for name in inner if name.startswith(".")}
        if is_run(set(files)):
            relative = path.relative_to(folder)
            yield path, str(folder / relative if several else relative) if relative.parts else folder.resolve().name
            hidden |= _INSIDE
        inner[:] = sorted(set(inner) - hidden)
