"""Packages that only some commands need, and that a plain installation does not have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Wraps the import of packages of an extra; if one is missing, the error says how to install it.

    Args:
        name: The extra, as in ``pip install 'cromss[report]'``.
        what: What needs them, as the user typed it.

    Raises:
        ValueError: A package is not installed; one sentence with the cure.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "a package").partition(".")[0]
        raise ValueError(f"{what} needs {missing}, which is not installed: pip install 'cromss[{name}]'") from error
