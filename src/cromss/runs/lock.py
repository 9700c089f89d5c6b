"""One job per folder of a run: a lock that ends with the process that holds it, however it ends.

The system keeps the lock, so a killed job leaves none behind, and no clock is asked. It is one of byte ranges, which
network disks share between hosts and which processes that a run starts do not inherit. The file names who holds it.
Hosts see each other's locks where their disk supports them; `cromss.runs.state` asks Slurm as well.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cromss.io.atomic import write_file
from cromss.io.own_files import LinkError, open_own
from cromss.io.plain import Limits, NotPlainError, printable, read_file
from cromss.runs.job import announced, is_announced, owner, processes, rank, slurm_job, slurm_job_of, user
from cromss.runs.names import DECISION, LOCK, SUBMITTING, check_no_links
from cromss.runs.record import read_record
from cromss.runs.slurm import live_jobs

log = logging.getLogger(__name__)

_LONGEST_WAIT = 300.0
"""Seconds that the other processes of a job wait for their first one to take the folder."""

_LONGEST_END = 60.0
"""Seconds that processes of one job may take to end one after the other, as may an earlier start of the job."""

_PROBING = 1.0
"""Seconds in which the lock may seem to be taken by those who only look."""

_NAME = Limits(size=4096)
"""Of what a lock's file says, and a decision."""

_without_locks: set[Path] = set()
"""Folders whose disk knows no locks, of which a warning has told."""

_held: set[Path] = set()
"""Folders that this process holds. To open a lock file once more and close it would give up the lock."""


class TakenError(ValueError):
    """Another job works in this folder; the message names it."""

    def __init__(self, folder: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"{folder} is being written by {holder}: wait for it or stop it first, or choose another folder "
            "(hydra.run.dir=…, of a sweep hydra.sweep.dir=…)"
        )


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Holds a run's folder until the context ends; the further processes of a job do as their first one does.

    The first process alone decides whether the folder is free, and the others learn what it decided: two that each
    looked for themselves could decide differently, and one of them would wait for the other in the process group.

    Args:
        folder: It exists.

    Raises:
        TakenError: Another job holds it, by its lock or by Slurm's list of jobs.
        ValueError: This user may not write there, or the first process of the job never came.
        SystemExit: In a further process that failed alone, with a code by which the scheduler ends the first one, too.
    """
    if rank():
        with _following(folder):
            yield
        return
    check_no_links(folder)
    with _opened(folder) as file:
        try:
            _take(file, folder)
        except TakenError as taken:
            _tell(folder, taken.holder)
            raise
        _held.add(folder.resolve())
        _write(file, f"{owner()} of {user()}")
        _tell(folder, "")
        try:
            with announced():
                yield
        finally:
            _write(file, "")
            _held.discard(folder.resolve())


def _take(file: IO[str], folder: Path) -> None:
    start, before = time.monotonic(), ""
    while not _locked(file, folder):
        before = _name(folder)
        # `holder` takes a lock for a moment to see whether it is free. An earlier start of this job is being ended.
        is_own = slurm_job() is not None and slurm_job_of(before) == slurm_job()
        if time.monotonic() - start > (_LONGEST_END if is_own else _PROBING):
            raise TakenError(folder, before)
        time.sleep(0.1)
    if (other := taken_by(folder)) is not None:
        raise TakenError(folder, other)


def _tell(folder: Path, taken: str) -> None:
    """Tells the further processes of a job, which a scheduler has started, that it begins, or who has the folder."""
    if processes() > 1:
        write_file(folder / DECISION, f"{owner()}\n{taken}".encode())


def taken_by(folder: Path) -> str | None:
    """The Slurm job, not this one, that runs in a folder by its record, where the disk's locks cannot be relied on."""
    record = read_record(folder)
    job = slurm_job_of(record.job) if record is not None and record.state == "running" else None
    if job is None or job == slurm_job() or record is None:
        return None
    return record.job if "RUNNING" in (live_jobs([job]) or {}).values() else None


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


@contextmanager
def _following(folder: Path) -> Iterator[None]:
    """Lets a further process of a job work as long as the first one holds the folder."""
    if not is_announced():
        _wait_for_decision(folder)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(folder, ended), daemon=True).start()
    try:
        yield
    except Exception as error:
        if _first_stays(folder, True, threading.Event()):
            log.error("Process %d of %s failed alone: %s", rank(), owner(), error)
            raise SystemExit(1) from error
        raise
    finally:
        ended.set()


def _wait_for_decision(folder: Path) -> None:
    deadline = time.monotonic() + _LONGEST_WAIT
    while True:
        try:
            job, _, taken = read_file(folder / DECISION, _NAME).decode(errors="replace").partition("\n")
        except FileNotFoundError:
            job = taken = ""
        if job == owner():
            break
        if time.monotonic() > deadline:
            raise ValueError(
                f"process {rank()} of {owner()} waited {_LONGEST_WAIT:.0f} s in {folder} for process 0, which never "
                "came: see its log"
            )
        time.sleep(0.2)
    if taken:
        raise TakenError(folder, printable(taken))


def _watch(folder: Path, ended: threading.Event) -> None:
    """Ends this process where the first one has left, as it would wait for it in the process group for half an hour."""
    while not ended.wait(1):
        if not _first_is_there(folder) and not _first_stays(folder, False, ended):
            log.error("Process %d of %s ends, since process 0 has left: see its log", rank(), owner())
            # The main thread waits within torch, where no exception reaches it.
            os._exit(1)


def _first_stays(folder: Path, is_there: bool, ended: threading.Event) -> bool:
    """Whether the first process holds the folder, or not, as it does now until the time is up or an event comes."""
    deadline = time.monotonic() + _LONGEST_END
    while time.monotonic() < deadline:
        if ended.wait(0.5) or _first_is_there(folder) != is_there:
            return not is_there
    return is_there


def _first_is_there(folder: Path) -> bool:
    """Whether this job's first process holds a folder; where the disk does not tell, it is taken to be there."""
    try:
        if not _name(folder, "").startswith(f"{owner()} of "):
            return False
        with open_own(folder / LOCK, "r+") as file:
            return not _locked(file, folder, without_locks=False)
    except (OSError, LinkError):
        return True


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


def _locked(file: IO[str], folder: Path, without_locks: bool = True) -> bool:
    """Whether the lock could be taken; `without_locks` where the disk knows none."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        _warn_without_locks(folder, error)
        return without_locks
    return True


def _warn_without_locks(folder: Path, error: OSError) -> None:
    if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
        raise error
    if folder not in _without_locks:
        _without_locks.add(folder)
        log.warning(
            "The disk of %s knows no locks (%s): only Slurm's list of jobs keeps two of them from writing there at "
            "once",
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
    # Not by filelock, which refuses network disks without locks: there a sweep is submitted with a warning.
    with open_own(folder / SUBMITTING) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX)
        except OSError as error:
            _warn_without_locks(folder, error)
        yield
