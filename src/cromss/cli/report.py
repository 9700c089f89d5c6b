"""`cromss report`: tables, pages and the state of sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cromss.cli.command import run_command
from cromss.config.paths import REPORT
from cromss.io.user_paths import as_path, check_new_file
from cromss.report.formats import FORMATS
from cromss.report.output import check_outside_runs, deliver
from cromss.report.page import check_page_folder, is_page_folder, write_page
from cromss.report.paper import TABLES
from cromss.report.runs import find_runs
from cromss.report.table import make_overview, make_report


def main() -> None:
    """Runs the command line."""
    run_command("report", run, REPORT, interrupted="nothing was written.")


def run(settings: Any) -> None:
    """Does what `conf/report.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, settings do not go together, or `out` exists.
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
    table = None if settings["table"] is None else TABLES[settings["table"]]
    render = FORMATS[settings["format"]]
    out = _new_file(settings)
    found = find_runs(_folders(settings["runs"]))
    deliver(render(make_overview(found) if table is None else make_report(table, found)), out)


def _page(settings: Any) -> None:
    if settings["format"] != "text":
        raise ValueError(
            f"format={settings['format']} makes one file, and out={settings['out']} is a folder, for a page with all "
            "formats: leave format out, or name a file with a suffix"
        )
    out = as_path(settings["out"])
    check_outside_runs(out)
    check_page_folder(out, settings["overwrite"])
    write_page(_folders(settings["runs"]), out)


def _status(settings: Any) -> None:
    # Each way of reporting imports its own: none waits for another's libraries.
    from cromss.report.status import show_status

    show_status(as_path(settings["status"]), _new_file(settings))


def _wandb(settings: Any) -> None:
    if settings["out"] is not None:
        raise ValueError(f"out={settings['out']}: a report on W&B is no file, so leave out out")
    from cromss.report.wandb_report import publish

    publish(project=settings["wandb"], sweep=settings["sweep"])


def _new_file(settings: Any) -> Path | None:
    """A file to write, looked at before any work; None for the terminal."""
    if settings["out"] is None:
        return None
    out = as_path(settings["out"])
    check_outside_runs(out)
    check_new_file(out, settings["overwrite"])
    return out


def _folders(value: Any) -> list[Path]:
    return [as_path(entry) for entry in (value if isinstance(value, list) else [value])]
