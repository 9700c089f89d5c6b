"""What the command lines beside `train.py` share: composed by Hydra, mistakes and Ctrl-C in one sentence."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import hydra
from omegaconf import DictConfig, OmegaConf

from cromss.config import UserError, quote_paths
from cromss.io.signals import EndedBySignal, ended_by_exception
from cromss.paths import config_dir
from cromss.resolvers import register_resolvers

Value = TypeVar("Value")


def run_command(name: str, work: Callable[[Any], None], paths: Sequence[str], interrupted: str) -> None:
    """Composes the settings from the command line, and does the work.

    Args:
        name: Of the file in ``conf/`` that holds all settings and the help.
        work: Takes the settings as a plain dict. Its ValueErrors and OSErrors are shown as their message alone.
        paths: Settings whose values are paths, which need not be quoted.
        interrupted: What Ctrl-C, SIGTERM or SIGHUP leave behind, a sentence.
    """
    register_resolvers()
    sys.argv[1:] = quote_paths(sys.argv[1:], paths)

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)
    def composed(cfg: DictConfig) -> None:
        try:
            work(OmegaConf.to_container(cfg, resolve=True))
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from error

    try:
        with ended_by_exception():
            composed()
    except EndedBySignal as end:
        sys.stderr.write(f"\nEnded by {end.name}: {interrupted}\n")
        raise
    except KeyboardInterrupt:
        sys.stderr.write(f"\nInterrupted: {interrupted}\n")
        sys.exit(130)


def given(settings: Mapping[str, Any], key: str, program: str) -> Any:
    """A setting without a default; ValueError where it is missing."""
    if settings[key] is None:
        raise ValueError(f"{key}=… is missing; `python -m {program} --help` shows examples")
    return settings[key]


def choose(key: str, value: Any, table: Mapping[str, Value]) -> Value:
    """The entry of a table that a setting names; ValueError where there is none."""
    if not isinstance(value, str) or value not in table:
        raise ValueError(f"{key}={value} is unknown: choose one of {', '.join(table)}")
    return table[value]


def check_switches(settings: Mapping[str, Any], keys: Sequence[str]) -> None:
    """ValueError unless the settings are true or false: YAML 1.2 takes off and no for words."""
    for key in keys:
        if not isinstance(settings[key], bool):
            raise ValueError(f"{key}={settings[key]} must be true or false")


def as_path(value: Any) -> Path:
    """The path that a setting names; a folder called 2020 comes as a number."""
    return Path(str(value)).expanduser()


def check_new_file(out: Path, overwrite: bool) -> None:
    """Looks whether a file may be written, before any work.

    Args:
        out: The file.
        overwrite: Whether one that exists is to be replaced.

    Raises:
        ValueError: It exists or is a folder, or its folder does not exist.
    """
    if out.is_dir():
        raise ValueError(f"out={out} is a folder: name a file in it")
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists: choose another out=…, or say overwrite=true to replace it")
    if not out.parent.is_dir():
        raise ValueError(f"out={out}: there is no folder {out.parent}: make it, or choose another")
