"""Writes shards in several processes, and ends all of them where one fails or the run is interrupted."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import torch
from tqdm import tqdm

from cromss.dataset.convert import Conversion
from cromss.dataset.reader import LocationReader
from cromss.dataset.shard_folder import Entry, Plan, read_entries, save_entries, shard_path
from cromss.dataset.store_writer import StoreWriter
from cromss.io.own_files import open_own
from cromss.io.signals import EndedBySignal
from cromss.prepare.raw_files import AbsentError, spool_path

_POLL_S = 0.2  # seconds between two checks of the workers


class Stopped(Exception):  # noqa: N818 - no error
    """The run ends before the shard is complete."""


class _FewerLocations(Exception):  # noqa: N818 - no error
    """No location of a shard could be read, or fewer than in an earlier run."""


@dataclass(frozen=True)
class ShardWriter:
    """Writes one shard after the other; each worker gets a copy.

    Attributes:
        reader: What to store.
        conversion: Conversion of each location.
        compression: See `StoreWriter`.
        folder: Folder of the shards.
        plan: The locations of each shard.
    """

    reader: LocationReader
    conversion: Conversion
    compression: Mapping[str, str]
    folder: Path
    plan: Plan

    def write(self, shard: int, seen: Any, stop: Any) -> None:
        """Writes a shard and then its entries.

        Args:
            shard: Its number.
            seen: Shared counter of the locations that were stored or failed.
            stop: Shared event that cancels the current shard.
        """
        target = shard_path(self.folder, shard)
        before = _stored(read_entries(self.folder, shard) or [])
        entries: list[Entry] = []
        try:
            # An existing shard has no entries yet, or is to be written again.
            with StoreWriter(target, self.conversion.info, self.compression, overwrite=True) as writer:
                for index in self.plan.indices(shard):
                    if stop.is_set():
                        raise Stopped
                    entries.append(self._add(writer, index))
                    with seen.get_lock():
                        seen.value += 1
                if not writer.count or writer.count < before:
                    raise _FewerLocations
        except _FewerLocations:
            if before:
                # The source has lost locations that are stored, so the stored shard is kept.
                return
        save_entries(self.folder, shard, entries)
        shutil.rmtree(spool_path(self.folder, shard), ignore_errors=True)

    def _add(self, writer: StoreWriter, index: int) -> Entry:
        try:
            name = self.reader.location_id(index)
        except ValueError as error:
            return Entry(f"location {index}", "failed", str(error))
        try:
            location = self.conversion.read(self.reader, index)
        except AbsentError as error:
            return Entry(name, "absent", str(error))
        except (ValueError, OSError) as error:
            return Entry(name, "failed", str(error))
        try:
            writer.add(**location)
        except ValueError as error:
            return Entry(name, "failed", str(error))
        return Entry(name, "done", "")


@contextmanager
def hold(folder: Path, shards: Iterable[int]) -> Iterator[None]:
    """Locks shards of a folder until the context ends, so that no other run writes them.

    Each shard is one byte of one lock file. Such locks end with the process that holds them, however it ends, and work
    between hosts that share a disk, if the disk supports locks.

    Raises:
        ValueError: Another run holds one of them, or the lock file is a symbolic link.
        OSError: The folder cannot be written.
    """
    with open_own(folder / ".lock") as file:
        for shard in shards:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, shard)
            except BlockingIOError as error:
                raise ValueError(
                    f"another run writes shard {shard:05d} of {folder}: wait for it, or stop it first; or give each "
                    "run shards of its own, as shard=0/2 and shard=1/2"
                ) from error
        yield


def _stored(entries: Sequence[Entry]) -> int:
    return sum(entry.status == "done" for entry in entries)


def write_all(writer: ShardWriter, shards: Sequence[int], workers: int) -> None:
    """Writes shards in `workers` processes.

    Raises:
        OSError: The disk is full, or a worker was killed.
        KeyboardInterrupt: Ctrl-C. As after every error, no worker runs, and what was under way is removed.
    """
    # Forks of this process would inherit the threads of its libraries; a fork server imports the libraries once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    _track_resources()
    seen, stop = context.Value("q", 0), context.Event()
    total = sum(len(writer.plan.indices(shard)) for shard in shards)
    pool = ProcessPoolExecutor(min(workers, len(shards)), context, _start, (writer, seen, stop))
    try:
        with tqdm(total=total, desc=f"writing {writer.folder.name}", unit="location") as bar:
            running: set[Future[None]] = {pool.submit(_work, shard) for shard in shards}
            while running:
                done, running = wait(running, _POLL_S, FIRST_EXCEPTION)
                bar.update(seen.value - bar.n)
                for future in done:
                    future.result()
    except BrokenProcessPool as error:
        raise OSError(
            "a worker was killed, perhaps because memory ran out: set fewer workers=…; the same command resumes"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


_STATE: tuple[ShardWriter, Any, Any] | None = None


def _start(writer: ShardWriter, seen: Any, stop: Any) -> None:
    """Sets up this process as a worker: it ignores Ctrl-C, and ends with the run or on a signal."""
    global _STATE  # noqa: PLW0603 - the only way to pass an object to a worker once
    _STATE = writer, seen, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A scheduler or a terminal that closes signals all processes of a run at once.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _track_resources() -> None:
    """Starts the resource tracker, which cleans up after killed processes, so that it ignores SIGHUP."""
    if threading.current_thread() is not threading.main_thread():
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        resource_tracker.ensure_running()
    finally:
        signal.signal(signal.SIGHUP, before)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise EndedBySignal(number)


def _work(shard: int) -> None:
    assert _STATE is not None
    writer, seen, stop = _STATE
    try:
        writer.write(shard, seen, stop)
    except EndedBySignal as end:
        # The current shard has been removed by now. If raised further, the error would only reach the run.
        os._exit(end.code)
