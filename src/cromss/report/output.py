"""Writes a report to the terminal, a file, or the folder of a page; never into the folder of a run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from cromss.io.atomic import replaced_folder, write_file
from cromss.io.plain import printable
from cromss.runs import names

log = logging.getLogger(__name__)

PAGE, TABLE, RUNS, MARKDOWN, PICTURE = "index.html", "table.csv", "runs.csv", "table.md", "summary.png"
"""Files in the folder of a page."""

_OURS = {PAGE, TABLE, RUNS, MARKDOWN, PICTURE}
_OF_RUNS = (names.CONFIG, names.METRICS, names.RESULTS)
_OF_SWEEPS = (names.SWEEP, names.SWEEP_CONFIG)


def deliver(text: str, out: Path | None) -> None:
    """Writes a text to a file, or shows it where that is None; OSError where it cannot be written."""
    if out is None:
        sys.stdout.write(printable(text, keep="\n"))
    else:
        write_file(out, text.encode())
        log.info("Report written to %s", out)


def write_page(files: Mapping[str, bytes], out: Path) -> None:
    """Writes the files of a page, by name, into its folder, which appears when it is complete.

    Raises:
        OSError: It cannot be written; the old content is unchanged.
    """
    out = out.resolve()
    try:
        with replaced_folder(out) as folder:
            for name, content in files.items():
                (folder / name).write_bytes(content)
    except OSError as error:
        raise OSError(f"cannot write {out}: {error.strerror}; the old content is unchanged") from error
    log.info("Page written to %s", out / PAGE)


def is_page_folder(out: str) -> bool:
    """Whether `out` as typed means a folder: it ends in a slash, is one, or has no suffix."""
    return out.endswith("/") or Path(out).expanduser().is_dir() or not Path(out).suffix


def check_page_folder(out: Path, overwrite: bool) -> None:
    """Checks whether a page may be written, before any work.

    Raises:
        ValueError: `out` is a file, holds a page or anything else, or its parent does not exist.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={out} is a file: name a folder, new or empty")
    if not out.resolve().parent.is_dir():
        raise ValueError(f"out={out}: there is no folder {out.parent}: make it, or choose another")
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    foreign = sorted(there - _OURS)
    if foreign:
        raise ValueError(
            f"out={out} holds other files, such as {foreign[0]}, which a page would replace: "
            "name a folder, new or empty"
        )
    if there and not overwrite:
        raise ValueError(f"{out} holds a page: choose another out=…, or set overwrite=true to replace it")


def check_outside_runs(out: Path) -> None:
    """Checks that a report replaces no file of a run or a sweep, even if `out` is a link to it.

    Raises:
        ValueError: It is or would be in a run's folder, or is a file of a sweep.
    """
    for path in (out.parent.resolve() / out.name, out.resolve()):
        for folder in path.parents:
            there = {name for name in (names.RECORD, *_OF_RUNS, *_OF_SWEEPS) if (folder / name).exists()}
            is_own = path.parent == folder and path.name in there
            of_run = names.RECORD in there or len(there.intersection(_OF_RUNS)) > 1
            if of_run or is_own:
                raise ValueError(
                    f"out={out} lies in {folder}, among the files of a run or sweep, which a report "
                    "must not replace: choose another location"
                )
