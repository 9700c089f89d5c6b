"""Paths below the home folder, which a user without a name in the system may not have."""

from __future__ import annotations

from pathlib import Path


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
