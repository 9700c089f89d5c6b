"""Opens files in folders that others may write to, without following symbolic links."""

from __future__ import annotations

import errno
import os
import stat
from io import TextIOWrapper
from pathlib import Path


class LinkError(ValueError):
    """A file or folder that this program writes is a link."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is a link or no regular file, and this program would write through it: remove it, or choose "
            "another folder"
        )


def open_own(path: Path, mode: str = "a") -> TextIOWrapper:
    """Opens a text file to write to.

    Args:
        path: The file. Folders above it may be links.
        mode: ``"a"``, ``"a+"``, or ``"r+"`` for one that exists.

    Raises:
        LinkError: It is a symbolic link, a pipe or a device.
        OSError: It cannot be opened.
    """
    access = os.O_RDWR if "+" in mode else os.O_WRONLY
    # Non-blocking: opening a pipe would otherwise wait for a reader.
    made = 0 if "r" in mode else os.O_APPEND | os.O_CREAT
    flags = access | made | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        # ENXIO: a pipe without a reader.
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENXIO):
            raise LinkError(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise LinkError(path)
    file = os.fdopen(descriptor, mode, encoding="utf-8")
    assert isinstance(file, TextIOWrapper)
    return file
