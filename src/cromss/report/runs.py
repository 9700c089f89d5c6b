"""Finds the results of runs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cromss.report.result_file import Run, read_run
from cromss.runs.names import RESULTS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundRuns:
    """All runs below some folders.

    Attributes:
        folders: Where was searched.
        runs: Those that could be read.
        unreadable: Files that could not.
    """

    folders: Sequence[Path]
    runs: Sequence[Run]
    unreadable: Sequence[Path]


def find_runs(folders: Sequence[Path]) -> FoundRuns:
    """Reads every `results.json` below the folders; what cannot be read is warned of.

    Args:
        folders: Searched to any depth; a file below two of them counts once.

    Raises:
        ValueError: One is no folder.
    """
    check_folders(folders)
    paths = {path.resolve(): path for folder in folders for path in sorted(folder.rglob(RESULTS))}
    runs, unreadable = [], []
    for path in paths.values():
        try:
            runs.append(read_run(path))
        except (ValueError, OSError) as error:
            log.warning("Left out: %s: %s", path, error)
            unreadable.append(path)
    return FoundRuns(folders, runs, unreadable)


def check_folders(folders: Sequence[Path]) -> None:
    """ValueError unless all of what `runs` names are folders."""
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"runs={folder} is no folder: name the one below which runs lie, or [several]")
