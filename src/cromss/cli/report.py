"""`cromss report`: tables, pages and the state of sweeps."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cromss.cli.command import run_command
from cromss.io.user_paths import as_path, check_new_file
from cromss.report.output import check_outside_runs, check_page_folder, deliver, is_page_folder, write_page

if TYPE_CHECKING:
    from cromss.report.table import RunTable

log = logging.getLogger(__name__)


def main() -> None:
    """Runs the command line."""
    run_command("report", run, interrupted="nothing was written.")


def run(settings: Any) -> None:
    """Does what `conf/report.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, settings contradict each other, or `out` exists.
        OSError: `out` cannot be written.
    """
    asked = [key for key in ("table", "status", "wandb") if settings[key] is not None]
    if len(asked) > 1:
        given = " ".join(f"{key}={settings[key]}" for key in asked)
        raise ValueError(f"{given}: one at a time, so leave out all but one of {', '.join(asked)}")
    if settings["sweep"] is not None and asked != ["wandb"]:
        raise ValueError(f"sweep={settings['sweep']} says what wandb=PROJECT shows: add that, or leave sweep out")
    if asked == ["wandb"]:
        _wandb(settings)
    elif asked == ["status"]:
        _status(settings)
    elif not asked and settings["out"] is not None and is_page_folder(str(settings["out"])):
        _page(settings)
    else:
        _table(settings)


def _table(settings: Any) -> None:
    # Each kind of report imports only the libraries that it needs.
    from cromss.report.formats import FORMATS
    from cromss.report.listing import beside_paper, overview
    from cromss.report.paper import TABLES

    out = _new_file(settings)
    table = _compared(settings)
    if settings["format"] == "csv":  # CSV has no comments
        for problem in table.problems:
            log.warning("Left out: %s", problem)
    shown = overview(table) if settings["table"] is None else beside_paper(TABLES[settings["table"]], table)
    deliver(FORMATS[settings["format"]](shown), out)


def _page(settings: Any) -> None:
    from cromss.report.page import page_files

    if settings["format"] != "text":
        raise ValueError(
            f"format={settings['format']} makes one file, and out={settings['out']} is a folder, for a page with all "
            "formats: leave format out, or name a file with a suffix"
        )
    out = as_path(settings["out"])
    check_outside_runs(out)
    check_page_folder(out, settings["overwrite"])
    write_page(page_files(_compared(settings), out), out)


def _compared(settings: Any) -> RunTable:
    from cromss.report.read import read_runs
    from cromss.report.table import compared

    folders = settings["runs"] if isinstance(settings["runs"], list) else [settings["runs"]]
    return compared(read_runs([as_path(folder) for folder in folders]))


def _status(settings: Any) -> None:
    from cromss.report.sweeps import status

    out = _new_file(settings)
    deliver(status(as_path(settings["status"])), out)


def _wandb(settings: Any) -> None:
    if settings["out"] is not None:
        raise ValueError(f"out={settings['out']}: a report on W&B is no file, so leave out out")
    from cromss.report.wandb_report import publish

    publish(project=settings["wandb"], sweep=settings["sweep"])


def _new_file(settings: Any) -> Path | None:
    """The file to write, checked before any work; None for the terminal."""
    if settings["out"] is None:
        return None
    out = as_path(settings["out"])
    check_outside_runs(out)
    check_new_file(out, settings["overwrite"])
    return out
