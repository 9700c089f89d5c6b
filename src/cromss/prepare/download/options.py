"""Checks the values of options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def check_number(name: str, value: Any, smallest: float, largest: float = float("inf"), whole: bool = False) -> None:
    """ValueError unless an option is a number, ``smallest <= value <= largest``, and whole where it has to be."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int if whole else (int, float))
        or not smallest <= value <= largest
    ):
        kind = "a whole number" if whole else "a number"
        limits = f"from {smallest:g}" if largest == float("inf") else f"from {smallest:g} to {largest:g}"
        raise ValueError(f"download.{name}={value} must be {kind} {limits}")


def check_names(group: str, options: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """ValueError unless the options of a group below ``download`` are those that there are, and all of them."""
    if unknown := [name for name in options if name not in allowed]:
        raise ValueError(f"download.{group} has no option {', '.join(unknown)}: there are {', '.join(allowed)}")
    if missing := [name for name in allowed if name not in options]:
        raise ValueError(f"download.{group} lacks {', '.join(missing)}")
