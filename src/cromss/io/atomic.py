"""Writes files and directories under another name and renames them when complete: incomplete ones are never visible."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import os
import platform
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


def write_file(target: Path, content: bytes | memoryview) -> None:
    """Writes a file atomically: `target` has its old content or all of the new, even after a crash.

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
            f"cannot write {target}: {error.strerror}. The old content is unchanged; free space or write elsewhere"
        ) from error


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Creates a folder that gets its name when this context ends without an error, and is removed otherwise.

    Args:
        target: The folder; its parents are created.

    Yields:
        The folder to fill.

    Raises:
        ValueError: There is something at `target`.
        OSError: It cannot be written.
    """
    if os.path.lexists(target):
        raise ValueError(f"{target} exists: choose another folder, which does not exist yet")
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced_folder(target) as partial:
        yield partial


@contextmanager
def replaced_folder(target: Path) -> Iterator[Path]:
    """Creates a folder that replaces `target`, if there is one, when this context ends without an error.

    Args:
        target: The folder; its parent exists.

    Yields:
        The folder to fill, which is removed after an error.

    Raises:
        OSError: It cannot be written; what stood at `target` still stands there.
    """
    remove_leftovers(target)
    partial = sibling(target, "partial")
    try:
        partial.mkdir()
        yield partial
        move_into_place(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sibling(target: Path, role: str) -> Path:
    """A new hidden name beside `target` that contains the number of this process and the name of this host."""
    return target.with_name(f".{target.name}.{role}-{platform.node()}-{os.getpid()}-{secrets.token_hex(4)}")


def move_into_place(partial: Path, target: Path) -> None:
    """Writes `partial` to the disk and renames it to `target`; an old `target` is removed afterwards.

    Where the system can exchange two names at once, one of the two has the name `target` at any time. Elsewhere a kill
    between two renames leaves none, and the next `remove_leftovers` or `restore` brings the old one back.

    Raises:
        OSError: It cannot be moved; the old content is restored.
    """
    _fsync_directory(partial)
    if not os.path.lexists(target):
        partial.rename(target)
    elif exchange(partial, target):
        _discard(partial, target)
    else:
        replaced = sibling(target, "replaced")
        target.rename(replaced)
        try:
            partial.rename(target)
        except OSError:
            replaced.rename(target)
            raise
        _discard(replaced, target)
    _fsync_directory(target.parent)


def exchange(one: Path, other: Path) -> bool:
    """Swaps the names of two files or directories at once; False where system or file system cannot.

    Raises:
        OSError: They cannot be renamed at all; nothing was changed.
    """
    if _renameat2 is None:
        return False
    if _renameat2(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


def restore(target: Path) -> None:
    """Restores the old `target` that a killed process of this host was replacing and left under another name.

    Does nothing if `target` exists.
    """
    if os.path.lexists(target) or not target.parent.is_dir():
        return
    for child, pid in _under_way(target, "replaced"):
        if not _is_alive(pid):
            try:
                child.rename(target)
            except OSError as error:
                log.warning("rename %s to %s, as it cannot be done here: %s", child, target, error.strerror)
            else:
                log.warning("%s has its old content: a process that was replacing it was killed", target)
            return


def remove_leftovers(target: Path) -> None:
    """Removes files that killed writers to `target` left on this host.

    An old `target` is restored if it was not replaced.
    """
    restore(target)
    if not target.parent.is_dir():
        return
    roles = "partial|replaced" if target.exists() else "partial"
    for child, pid in _under_way(target, roles):
        if not _is_alive(pid):
            log.info("removing %s, left behind by a writer that was killed", child)
            _remove(child)


def leftovers(folder: Path) -> list[Path]:
    """Incomplete files of dead processes of this host, for any target in a folder.

    Only names that `sibling` makes count: other hidden files are the user's.
    """
    return sorted(child for child, pid in _named(folder, r".+", "partial") if not _is_alive(pid))


def writers(target: Path) -> list[Path]:
    """Incomplete files that other living processes of this host write for `target`."""
    return [child for child, pid in _under_way(target, "partial") if pid != os.getpid() and _is_alive(pid)]


def _under_way(target: Path, roles: str) -> list[tuple[Path, int]]:
    """Files of this host with names of `sibling` beside `target`, each with its process."""
    return _named(target.parent, re.escape(target.name), roles)


def _named(folder: Path, name: str, roles: str) -> list[tuple[Path, int]]:
    """Files of this host with names of `sibling`, for targets whose name matches a pattern."""
    # Hosts may share a disk, and a process number means nothing on another host.
    pattern = re.compile(
        rf"\.{name}\.(?:{roles})-{re.escape(platform.node())}-(?P<pid>[1-9]\d{{0,8}})-[0-9a-f]{{8}}", re.DOTALL
    )
    matches = [(child, pattern.fullmatch(child.name)) for child in folder.iterdir()]
    return [(child, int(match["pid"])) for child, match in matches if match]


def _discard(old: Path, target: Path) -> None:
    """Removes the old `target`."""
    # Renamed to an incomplete file first, so that a half-removed one is never restored.
    with contextlib.suppress(OSError):
        old = old.rename(sibling(target, "partial"))
    try:
        _remove(old)
    except BaseException:
        # Ctrl-C or a signal: half of it is useless.
        _remove(old)
        raise


def _remove(path: Path) -> None:
    """Removes a file, a link or a directory; what cannot be removed stays."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _system_call() -> Callable[..., int] | None:
    """The function of the C library that exchanges names; None where there is none."""
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    function.restype = ctypes.c_int
    return function


_renameat2 = _system_call()
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE


def _fsync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
