"""One job a run's folder: a lock that ends with the process that holds it, however it ends.

The system keeps the lock, so a killed job leaves none behind, and no clock is asked. The file names who holds it. Hosts
that share a disk see each other's locks where that disk supports them; `cromss.sweep.state` asks Slurm as well.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cromss.io.own_files import LinkError, open_own
from cromss.io.plain import Limits, NotPlainError, printable, read_file
from cromss.runs.links import check_no_links
from cromss.runs.names import LOCK, SUBMITTING
from cromss.runs.record import is_done
from cromss.sweep.job import announced, owner, rank, user

log = logging.getLogger(__name__)

_LONGEST_WAIT = 300.0
"""Seconds that the other processes of a job wait for their first one to take the folder."""

_NAME = Limits(size=4096)
"""Of what a lock's file says."""

_held: set[Path] = set()
"""Folders that this process holds. To open a lock file once more and close it would give up the lock."""


class TakenError(ValueError):
    """Another job works in this folder; the message names it."""

    def __init__(self, folder: Path, holder: str) -> None:
        super().__init__(
            f"{folder} is being written by {holder}: wait for it or stop it first, or choose another folder "
            "(hydra.run.dir=…, of a sweep hydra.sweep.dir=…)"
        )


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Holds a run's folder until the context ends; the further processes of a job hold it through their first one.

    Args:
        folder: It exists.

    Raises:
        TakenError: Another job holds it.
        ValueError: This user may not write there, or the first process of the job never came.
    """
    if rank():
        _wait_for_first(folder)
        yield
        return
    check_no_links(folder)
    with _opened(folder) as file:
        if not _locked_soon(file, folder):
            raise TakenError(folder, _name(folder))
        _held.add(folder.resolve())
        _write(file, f"{owner()} of {user()}")
        try:
            with announced():
                yield
        finally:
            _write(file, "")
            _held.discard(folder.resolve())


def holder(folder: Path) -> str | None:
    """Who holds a run's folder, in words; None where nobody does, or where there is no such folder."""
    if folder.resolve() in _held:
        return owner()
    try:
        with open_own(folder / LOCK, "r+") as file:
            # Taken for a moment, as Python cannot ask who holds it.
            return None if _locked(file, folder) else _name(folder)
    except (FileNotFoundError, NotADirectoryError, LinkError):
        # Nobody holds a folder by a link: it is refused.
        return None
    except PermissionError:
        # Of another user. The name is taken away at an orderly end, and says the truth but for killed jobs.
        return _name(folder, "") or None


def _wait_for_first(folder: Path) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT
    while True:
        now = holder(folder)
        if now is not None and now.startswith(f"{owner()} of "):
            return
        if now is not None:
            raise TakenError(folder, now)
        if is_done(folder):
            return  # the first process has found it finished, and so will this one
        if time.monotonic() > deadline:
            raise ValueError(
                f"process {rank()} of {owner()} waited {_LONGEST_WAIT:.0f} s in {folder} for process 0, which never "
                "came: look at its log"
            )
        time.sleep(0.2)


def _opened(folder: Path) -> IO[str]:
    path = folder / LOCK
    try:
        return open_own(path, "a+")
    except PermissionError as error:
        whose = f", which {_maker(path)} made," if path.exists() else ""
        raise ValueError(
            f"{user()} may not write {path}{whose}: choose another folder (hydra.run.dir=…, of a sweep "
            "hydra.sweep.dir=…)"
        ) from error


def _maker(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"  # the system has no name for it


def _locked_soon(file: IO[str], folder: Path) -> bool:
    """Tries for a second, as `holder` takes a lock for a moment to see whether it is free."""
    for _ in range(10):
        if _locked(file, folder):
            return True
        time.sleep(0.1)
    return False


def _locked(file: IO[str], folder: Path) -> bool:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        _warn_without_locks(folder, error)
    return True


def _warn_without_locks(folder: Path, error: OSError) -> None:
    if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
        raise error
    log.warning(
        "The disk of %s knows no locks (%s): only Slurm's list of jobs keeps two of them from writing there at once",
        folder,
        os.strerror(error.errno),
    )


def _write(file: IO[str], text: str) -> None:
    file.truncate(0)
    file.write(text)
    file.flush()


def _name(folder: Path, unknown: str = "another job") -> str:
    # By a handle of its own: this process holds no lock here that closing it could give up.
    try:
        text = read_file(folder / LOCK, _NAME).decode(errors="replace").strip()
    except NotPlainError:
        return unknown
    return printable(text) or unknown


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Waits until no other launcher hands over jobs of a sweep, and keeps them waiting until the context ends.

    Args:
        folder: The sweep's; it exists.

    Raises:
        OSError: It cannot be written.
    """
    with open_own(folder / SUBMITTING) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX)
        except OSError as error:
            _warn_without_locks(folder, error)
        yield
