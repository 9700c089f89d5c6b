"""Paths as users give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def as_path(value: Any) -> Path:
    """The path that a setting names; a folder called 2020 comes as a number."""
    return Path(str(value)).expanduser()


def expanded(path: str | Path, key: str) -> Path:
    """The path with the home folder for ``~``.

    Args:
        path: As in the settings.
        key: The setting that it comes from, for the cure.

    Raises:
        ValueError: It begins with ``~``, and this user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(
            f"{key}={path} needs a home folder, and this user has none: set {key}=FOLDER, or the environment variable "
            "HOME"
        ) from error


def check_new_file(out: Path, overwrite: bool) -> None:
    """Checks whether a file may be written, before any work.

    Args:
        out: The file.
        overwrite: Whether to replace an existing file.

    Raises:
        ValueError: It exists or is a folder, or its folder does not exist.
    """
    if out.is_dir():
        raise ValueError(f"out={out} is a folder: name a file in it")
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists: choose another out=…, or set overwrite=true to replace it")
    if not out.parent.is_dir():
        raise ValueError(f"out={out}: there is no folder {out.parent}: make it, or choose another")
