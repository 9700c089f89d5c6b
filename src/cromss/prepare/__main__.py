"""The command line of `python -m cromss.prepare`."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig, OmegaConf

from cromss.config import UserError, quote_paths
from cromss.dataset.store_writer import check_target
from cromss.paths import config_dir
from cromss.prepare import SOURCES, convert, verify
from cromss.resolvers import register_resolvers

log = logging.getLogger(__name__)
_MOST_MESSAGES = 50


def main() -> None:
    """Runs the command line; Ctrl-C ends it with a sentence."""
    register_resolvers()
    sys.argv[1:] = quote_paths(sys.argv[1:], ("path", "out"))
    try:
        _prepare()
    except KeyboardInterrupt:
        sys.stderr.write("\nInterrupted: nothing was changed.\n")
        sys.exit(130)


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="prepare")
def _prepare(cfg: DictConfig) -> None:
    """Converts or verifies, and shows a mistake of the user as its message alone."""
    try:
        run(OmegaConf.to_container(cfg, resolve=True))
    except (ValueError, OSError) as error:
        raise UserError(str(error)) from error


def run(settings: Any) -> None:
    """Does what `conf/prepare.yaml`, as a plain dict, says.

    Raises:
        ValueError: A setting is missing or unknown, the source cannot be read, or `verify` found damage.
        OSError: The disk is full, or a path cannot be written.
    """
    for key in ("quantise", "overwrite"):
        if not isinstance(settings[key], bool):
            raise ValueError(f"{key}={settings[key]} must be true or false")
    if not isinstance(settings["compression"], Mapping):
        raise ValueError(f"compression={settings['compression']} must name fields, e.g. compression.labels=zstd")
    _choose("action", settings["action"], ACTIONS)(settings)


def _convert(settings: Mapping[str, Any]) -> None:
    open_source = _choose("source", settings["source"], SOURCES)
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


def _choose(key: str, value: Any, table: Mapping[str, Any]) -> Any:
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{key}={value} is unknown: choose one of {', '.join(table)}")
    return table[value]


def _given(settings: Mapping[str, Any], key: str) -> Any:
    if settings[key] is None:
        raise ValueError(f"{key}=… is missing; `python -m cromss.prepare --help` shows examples")
    value = settings[key]
    return value if isinstance(value, Mapping) else Path(str(value)).expanduser()


if __name__ == "__main__":
    main()
