"""Checks the overrides of a command line: keys given twice, and unknown keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cromss.config.errors import UserError
from cromss.config.settings import did_you_mean

_WITH_VALUE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--info", "-i")
"""Hydra's own options that are followed by a value."""


def key_of(override: str) -> str:
    """The key or group of an override, without the signs ``+`` and ``~``."""
    return override.partition("=")[0].lstrip("+~")


def check_given_once(arguments: Sequence[str]) -> None:
    """Refuses a key that a command line sets twice, as the last one would silently win.

    Args:
        arguments: Overrides and options of the command line.

    Raises:
        UserError: One sentence for each key that is given more than once.
    """
    given: dict[str, list[str]] = {}
    for before, argument in zip(("", *arguments), arguments, strict=False):
        if argument.startswith("-") or before in _WITH_VALUE or not re.match(r"[+~]|[^=]+=", argument):
            continue
        given.setdefault(key_of(argument), []).append(argument)
    twice = [f"{' and '.join(same)} set {key} more than once: keep one" for key, same in given.items() if len(same) > 1]
    if twice:
        raise UserError("\n".join(twice))


def suggest_keys(cfg: DictConfig, overrides: Sequence[str]) -> list[str]:
    """Suggests similar keys for each override with an unknown key.

    Args:
        cfg: The config without the overrides.
        overrides: ``key=value`` strings as typed.

    Returns:
        One sentence for each unknown key.
    """
    known = list(keys_in(cfg))
    sentences = []
    for override in overrides:
        key = key_of(override)
        if "/" in key or key.startswith("hydra.") or key in known:
            continue
        sentences.append(f"There is no key {key}: {did_you_mean(key, known, 'see `cromss train --cfg job`')}")
    return sentences


def keys_in(node: Any, prefix: str = "") -> Iterator[str]:
    """All keys of a config in dotted form, groups and leaves."""
    for key in node:
        yield f"{prefix}{key}"
        if (
            OmegaConf.is_dict(node)
            and not OmegaConf.is_missing(node, key)
            and not OmegaConf.is_interpolation(node, key)
        ):
            child = node[key]
            if OmegaConf.is_dict(child):
                yield from keys_in(child, f"{prefix}{key}.")
