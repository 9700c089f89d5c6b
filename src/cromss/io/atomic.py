"""Writes files and directories beside their places and moves them there when complete: no half is ever seen."""

from __future__ import annotations

import logging
import os
import platform
import re
import secrets
import shutil
from pathlib import Path

log = logging.getLogger(__name__)


def write_file(target: Path, content: bytes | memoryview) -> None:
    """Writes a file as a whole: `target` holds its old content or all of the new, even after a crash.

    Args:
        target: File to write or to replace; its folder exists.
        content: All bytes of the file.

    Raises:
        OSError: It cannot be written; what stood there still stands there.
    """
    partial = sibling(target, "partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OSError(
            f"cannot write {target}: {error.strerror}. What was there before is unharmed; free space or write elsewhere"
        ) from error


def sibling(target: Path, role: str) -> Path:
    """A new hidden name beside `target` that tells who uses it: this process on this host."""
    return target.with_name(f".{target.name}.{role}-{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}")


def move_into_place(partial: Path, target: Path) -> None:
    """Makes `partial` durable and renames it to `target`; a directory that stands there is removed afterwards.

    Raises:
        OSError: It cannot be moved; what stood there stands there again.
    """
    _fsync_directory(partial)
    if target.exists():
        replaced = sibling(target, "replaced")
        target.rename(replaced)
        try:
            partial.rename(target)
        except OSError:
            replaced.rename(target)
            raise
        shutil.rmtree(replaced, ignore_errors=True)
    else:
        partial.rename(target)
    _fsync_directory(target.parent)


def remove_leftovers(target: Path) -> None:
    """Removes what killed writers to `target` left on this host.

    What was about to be replaced goes only where its successor stands: otherwise it is the last copy.
    """
    roles = "partial|replaced" if target.exists() else "partial"
    for child, pid in _under_way(target, roles):
        if not _is_alive(pid):
            log.info("removing %s, left behind by a writer that was killed", child)
            shutil.rmtree(child)


def writers(target: Path) -> list[Path]:
    """What other processes of this host, which are alive, write to become `target`."""
    return [child for child, pid in _under_way(target, "partial") if pid != os.getpid() and _is_alive(pid)]


def _under_way(target: Path, roles: str) -> list[tuple[Path, int]]:
    """What `sibling` named on this host, each with its process."""
    # Hosts may share a disk, and a process number means nothing on another host.
    pattern = re.compile(
        rf"\.{re.escape(target.name)}\.(?:{roles})-{re.escape(platform.node())}-(?P<pid>\d+)-[0-9a-f]{{8}}"
    )
    matches = [(child, pattern.fullmatch(child.name)) for child in target.parent.iterdir()]
    return [(child, int(match["pid"])) for child, match in matches if match]


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
