"""A lock that allows one job per run folder, and is released whenever the process that holds it ends.

The operating system keeps it, so a killed job leaves no lock behind, and nothing depends on clocks. It locks a byte
range: network disks share such locks between hosts, and child processes do not inherit them. The file names the holder.
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
from cromss.runs.job import is_child, mark_children, owner, processes, rank, slurm_job, slurm_job_of, user
from cromss.runs.names import DECISION, LOCK, SUBMITTING, check_no_links
from cromss.runs.record import read_record
from cromss.runs.slurm import live_jobs

log = logging.getLogger(__name__)

_LONGEST_WAIT = 300.0
"""Seconds that the other processes of a job wait until their first one has locked the folder."""

_LONGEST_END = 60.0
"""Seconds in which the processes of one job, or of its earlier start, may end one after the other."""

_PROBING = 1.0
"""Seconds in which the lock may seem taken because another process only checks it."""

_NAME = Limits(size=4096)
"""Limits of the content of a lock file and of a decision."""

_without_locks: set[Path] = set()
"""Folders on disks without locks, for which a warning was logged."""

_held: set[Path] = set()
"""Folders that this process holds. Opening and closing a lock file again would release the lock."""


class TakenError(ValueError):
    """Another job uses this folder; the message names the job."""

    def __init__(self, folder: Path, holder: str) -> None:
        self.holder = holder
        super().__init__(
            f"{folder} is being written by {holder}: wait for it or stop it first, or choose another folder "
            "(hydra.run.dir=…, of a sweep hydra.sweep.dir=…)"
        )


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Locks a run's folder until the context ends; the other processes of a job follow the first one.

    Only the first process checks whether the folder is free, and the others read its decision: if each checked for
    itself, they could disagree, and one of them would wait for the others in the process group.

    Args:
        folder: An existing folder.

    Raises:
        TakenError: Another job has it, according to the lock or to Slurm.
        ValueError: This user may not write there, or the first process of the job did not start.
        SystemExit: Only this process failed, and not the first one; the scheduler then ends that, too.
    """
    if rank():
        with _follow_first_process(folder):
            yield
        return
    check_no_links(folder)
    with _open_lock_file(folder) as file:
        try:
            _acquire(file, folder)
        except TakenError as taken:
            _publish_decision(folder, taken.holder)
            raise
        _held.add(folder.resolve())
        _write(file, f"{owner()} of {user()}")
        _publish_decision(folder, "")
        try:
            with mark_children():
                yield
        finally:
            _write(file, "")
            _held.discard(folder.resolve())


def _acquire(file: IO[str], folder: Path) -> None:
    start, before = time.monotonic(), ""
    while not _try_lock(file, folder):
        before = _holder_name(folder)
        # `holder` takes the lock for a moment to check it, and an earlier start of this job may still be ending.
        is_own = slurm_job() is not None and slurm_job_of(before) == slurm_job()
        if time.monotonic() - start > (_LONGEST_END if is_own else _PROBING):
            raise TakenError(folder, before)
        time.sleep(0.1)
    if (other := running_slurm_job(folder)) is not None:
        raise TakenError(folder, other)


def _publish_decision(folder: Path, taken: str) -> None:
    """Writes for the other processes, which a scheduler started, that the job begins, or who has the folder."""
    if processes() > 1:
        write_file(folder / DECISION, f"{owner()}\n{taken}".encode())


def running_slurm_job(folder: Path) -> str | None:
    """Another Slurm job that runs in a folder according to its record, for disks without reliable locks."""
    record = read_record(folder)
    job = slurm_job_of(record.job) if record is not None and record.state == "running" else None
    if job is None or job == slurm_job() or record is None:
        return None
    return record.job if "RUNNING" in (live_jobs([job]) or {}).values() else None


def holder(folder: Path) -> str | None:
    """Name of the job that holds a run's folder; None if no job does, or if there is no such folder."""
    if folder.resolve() in _held:
        return owner()
    try:
        with open_own(folder / LOCK, "r+") as file:
            # Python cannot ask who holds a lock, so this takes it for a moment.
            return None if _try_lock(file, folder) else _holder_name(folder)
    except (FileNotFoundError, NotADirectoryError, LinkError):
        # A lock file that is a link is refused, so nobody holds it.
        return None
    except PermissionError:
        # It is another user's. The name is removed at a regular end, so it is wrong only for killed jobs.
        return _holder_name(folder, "") or None


@contextmanager
def _follow_first_process(folder: Path) -> Iterator[None]:
    """Lets another process of a job work as long as the first one holds the folder."""
    if not is_child():
        _wait_for_decision(folder)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(folder, ended), daemon=True).start()
    try:
        yield
    except Exception as error:
        if _wait_for_change(folder, True, threading.Event()):
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
                f"process {rank()} of {owner()} waited {_LONGEST_WAIT:.0f} s in {folder} for process 0, which did "
                "not start: see its log"
            )
        time.sleep(0.2)
    if taken:
        raise TakenError(folder, printable(taken))


def _watch(folder: Path, ended: threading.Event) -> None:
    """Ends this process when the first one has ended: it would wait half an hour for it in the process group."""
    while not ended.wait(1):
        if not _first_holds_folder(folder) and not _wait_for_change(folder, False, ended):
            log.error("Process %d of %s ends, since process 0 has ended: see its log", rank(), owner())
            # The main thread is blocked inside torch, where no exception reaches it.
            os._exit(1)


def _wait_for_change(folder: Path, is_there: bool, ended: threading.Event) -> bool:
    """Waits until the first process takes or leaves the folder, and returns whether it has it; or until `ended`."""
    deadline = time.monotonic() + _LONGEST_END
    while time.monotonic() < deadline:
        if ended.wait(0.5) or _first_holds_folder(folder) != is_there:
            return not is_there
    return is_there


def _first_holds_folder(folder: Path) -> bool:
    """Whether this job's first process holds a folder; where the disk has no locks, it is assumed to."""
    try:
        if not _holder_name(folder, "").startswith(f"{owner()} of "):
            return False
        with open_own(folder / LOCK, "r+") as file:
            return not _try_lock(file, folder, without_locks=False)
    except (OSError, LinkError):
        return True


def _open_lock_file(folder: Path) -> IO[str]:
    path = folder / LOCK
    try:
        return open_own(path, "a+")
    except PermissionError as error:
        whose = f" (created by {_file_owner(path)})" if path.exists() else ""
        raise ValueError(
            f"{user()} may not write {path}{whose}: choose another folder (hydra.run.dir=…, of a sweep "
            "hydra.sweep.dir=…)"
        ) from error


def _file_owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"  # the system has no name for it


def _try_lock(file: IO[str], folder: Path, without_locks: bool = True) -> bool:
    """Whether the lock could be taken; `without_locks` where the disk does not support locks."""
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


def _holder_name(folder: Path, unknown: str = "another job") -> str:
    # This process holds no lock here that closing this handle could release.
    try:
        text = read_file(folder / LOCK, _NAME).decode(errors="replace").strip()
    except NotPlainError:
        return unknown
    return printable(text) or unknown


@contextmanager
def submission_lock(folder: Path) -> Iterator[None]:
    """Waits until no other launcher submits jobs of a sweep, and makes others wait until the context ends.

    Args:
        folder: The existing folder of the sweep.

    Raises:
        OSError: It cannot be written.
    """
    # filelock refuses network disks without locks; here, a sweep is submitted there, with a warning.
    with open_own(folder / SUBMITTING) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX)
        except OSError as error:
            _warn_without_locks(folder, error)
        yield
