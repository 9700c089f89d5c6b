"""The command line of `python -m cromss.report`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cromss.command import as_path, check_new_file, check_switches, choose, run_command
from cromss.report.formats import FORMATS
from cromss.report.output import deliver
from cromss.report.paper import TABLES
from cromss.report.runs import find_runs
from cromss.report.table import make_overview, make_report


def main() -> None:
    """Runs the command line."""
    run_command("report", run, paths=("runs", "out"), interrupted="nothing was written.")


def run(settings: Any) -> None:
    """Does what `conf/report.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, or `out` exists.
        OSError: `out` cannot be written.
    """
    table = None if settings["table"] is None else choose("table", settings["table"], TABLES)
    render = choose("format", settings["format"], FORMATS)
    check_switches(settings, ["overwrite"])
    out = None if settings["out"] is None else as_path(settings["out"])
    if out is not None:
        check_new_file(out, settings["overwrite"])
    found = find_runs(_folders(settings["runs"]))
    deliver(render(make_overview(found) if table is None else make_report(table, found)), out)


def _folders(value: Any) -> list[Path]:
    if value is None or value == []:
        raise ValueError(f"runs={value} names no folder: say runs=FOLDER, or runs=[FOLDER,FOLDER]")
    return [as_path(entry) for entry in (value if isinstance(value, list) else [value])]


if __name__ == "__main__":
    main()
