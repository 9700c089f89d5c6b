"""Packages that only some commands need, and a plain installation does without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Surrounds the import of packages of an extra, and says how to install them where they are missing.

    Args:
        name: The extra, as in ``pip install 'cromss[report]'``.
        what: Needs them, as the user typed it.

    Raises:
        ValueError: A package is not installed; one sentence with the cure.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "a package").partition(".")[0]
        raise ValueError(f"{what} needs {missing}, which is not installed: pip install 'cromss[{name}]'") from error
