"""The folder of a page, written as a whole."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from cromss.io.atomic import move_into_place, remove_leftovers, sibling
from cromss.io.extras import extra

log = logging.getLogger(__name__)

PAGE, TABLE, RUNS, MARKDOWN, PICTURE = "index.html", "table.csv", "runs.csv", "table.md", "summary.png"

_OURS = {PAGE, TABLE, RUNS, MARKDOWN, PICTURE}


def is_page_folder(out: str) -> bool:
    """Whether `out` as typed means a folder: it ends in a slash, is one, or has no suffix."""
    return out.endswith("/") or Path(out).expanduser().is_dir() or not Path(out).suffix


def check_page_folder(out: Path, overwrite: bool) -> None:
    """Looks whether a page may be written, before any work.

    Args:
        out: The folder, new or empty; or an earlier page's.
        overwrite: Whether an earlier page is to be replaced.

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
        raise ValueError(f"{out} holds a page: choose another out=…, or say overwrite=true to replace it")


def write_page(folders: Sequence[Path], out: Path) -> None:
    """Compares the runs below some folders, as a page.

    Args:
        folders: Where runs lie.
        out: See `check_page_folder`; it appears when it is complete.

    Raises:
        ValueError: One of the folders is none, or there is no run.
        OSError: `out` cannot be written; what stood there still stands there.
    """
    with extra("report", f"out={out}"):
        from cromss.report.page.render import render
    # Drawing takes a second to import, which the tables of the same command need not wait for.
    from cromss.report.page.content import content
    from cromss.report.page.exports import runs_csv, table_csv, table_markdown
    from cromss.report.page.read import read_runs
    from cromss.report.page.summary_figure import summary_png

    shown = content(read_runs(folders))
    files = {
        PAGE: render(shown).encode(),
        TABLE: table_csv(shown).encode(),
        RUNS: runs_csv(shown).encode(),
        MARKDOWN: table_markdown(shown).encode(),
        PICTURE: summary_png(shown),
    }
    out = out.resolve()
    remove_leftovers(out)
    partial = sibling(out, "partial")
    try:
        partial.mkdir()
        for name, written in files.items():
            (partial / name).write_bytes(written)
        move_into_place(partial, out)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(f"cannot write {out}: {error.strerror}; what was there before is unharmed") from error
    log.info("Page written to %s", out / PAGE)
