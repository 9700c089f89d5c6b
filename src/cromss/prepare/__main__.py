"""The command line of `python -m cromss.prepare`."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from cromss.command import as_path, check_switches, choose, given, run_command
from cromss.dataset.store_writer import check_target
from cromss.prepare import SOURCES, convert, verify

log = logging.getLogger(__name__)
_MOST_MESSAGES = 50


def main() -> None:
    """Runs the command line."""
    run_command("prepare", run, paths=("path", "out"), interrupted="nothing was changed.")


def run(settings: Any) -> None:
    """Does what `conf/prepare.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, the source cannot be read, or `verify` found damage.
        OSError: The disk is full, or a path cannot be written.
    """
    check_switches(settings, ["quantise", "overwrite"])
    if not isinstance(settings["compression"], Mapping):
        raise ValueError(f"compression={settings['compression']} must name fields, e.g. compression.labels=zstd")
    choose("action", settings["action"], ACTIONS)(settings)


def _convert(settings: Mapping[str, Any]) -> None:
    open_source = choose("source", settings["source"], SOURCES)
    out = _given(settings, "out")
    # All that can fail at once fails before the first location is read.
    check_target(out, settings["overwrite"])
    options = settings[settings["source"]]
    allowed = [name for name in inspect.signature(open_source).parameters if name != "path"]
    if unknown := [name for name in options if name not in allowed]:
        raise ValueError(
            f"source={settings['source']} has no option {', '.join(unknown)}: there are {', '.join(allowed)}"
        )
    reader = open_source(_given(settings, "path"), **options)
    convert(reader, out, settings["quantise"], settings["compression"], settings["overwrite"])
    log.info("%d locations written to %s", len(reader), out)


def _verify(settings: Mapping[str, Any]) -> None:
    damages = verify(_given(settings, "out" if settings["path"] is None else "path"), _MOST_MESSAGES)
    if damages.total:
        raise ValueError(f"{damages}. Create the store again")
    log.info("%s", damages)


ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {"convert": _convert, "verify": _verify}


def _given(settings: Mapping[str, Any], key: str) -> Any:
    value = given(settings, key, "cromss.prepare")
    return value if isinstance(value, Mapping) else as_path(value)


if __name__ == "__main__":
    main()
