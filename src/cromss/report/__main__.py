"""The command line of `python -m cromss.report`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from cromss.config import UserError, quote_paths
from cromss.paths import config_dir
from cromss.report.formats import FORMATS
from cromss.report.output import check_target, deliver
from cromss.report.paper import TABLES
from cromss.report.runs import find_runs
from cromss.report.table import make_overview, make_report


def main() -> None:
    """Runs the command line; Ctrl-C ends it with a sentence."""
    sys.argv[1:] = quote_paths(sys.argv[1:], ("runs", "out"))
    try:
        _report()
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted: nothing was written.\n")
        sys.exit(130)


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="report")
def _report(cfg: DictConfig) -> None:
    """Reports, and shows a mistake of the user as its message alone."""
    try:
        run(OmegaConf.to_container(cfg, resolve=True))
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error


def run(settings: Any) -> None:
    """Does what `conf/report.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, or `out` exists.
        OSError: `out` cannot be written.
    """
    table = None if settings["table"] is None else _choose("table", settings["table"], TABLES)
    render = _choose("format", settings["format"], FORMATS)
    if not isinstance(settings["overwrite"], bool):
        raise ValueError(f"overwrite={settings['overwrite']} must be true or false")
    out = None if settings["out"] is None else _path(settings["out"])
    check_target(out, settings["overwrite"])
    found = find_runs(_folders(settings["runs"]))
    deliver(render(make_overview(found) if table is None else make_report(table, found)), out)


def _choose(key: str, value: Any, table: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{key}={value} is unknown: choose one of {', '.join(table)}")
    return table[value]


def _folders(value: Any) -> list[Path]:
    if value is None or value == []:
        raise ValueError(f"runs={value} names no folder: say runs=FOLDER, or runs=[FOLDER,FOLDER]")
    return [_path(entry) for entry in (value if isinstance(value, list) else [value])]


def _path(value: Any) -> Path:
    return Path(str(value)).expanduser()


if __name__ == "__main__":
    main()
