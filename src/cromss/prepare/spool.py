"""Copies the needed files of archives of several 100 GB to one LMDB per shard, in one pass, without unpacking.

An archive holds one modality after the other, so no location is complete before the end of the pass; and creating and
removing millions of tiny files would take longer than reading them. So the bytes of each file are copied unchanged into
the LMDB of its shard, which is removed when that shard of the store is written.
"""

from __future__ import annotations

import logging
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import lmdb

from cromss.io.lmdb_reader import LmdbReader
from cromss.io.plain import Messages, shown
from cromss.prepare.archive import BROKEN, key_problem, opened, wanted
from cromss.prepare.raw_files import TIFF, spool_path

log = logging.getLogger(__name__)

ARCHIVES = (".tar.gz", ".tgz", ".tar")
_MEMBER = re.compile(r"(?:^|/)(?:(?P<part>s1|s2c?|labels?)/)?(?P<id>\d{1,7})/(?P<season>[^/]+)/(?P<file>[^/]+)$", re.I)
_PARTS = {"s1": "s1", "s2": "s2", "s2c": "s2"}
_MOST_NAMED = 20
_BATCH_BYTES = 64 * 2**20
# LMDB maps this much address space per location, more than any location needs; it takes no memory or disk.
_MAP_BYTES = 2**26
_PASSED = b"~passed"
_MOST_BYTES = _MAP_BYTES // 2
"""Most bytes of all files of one location together; the published ones take 4 MB."""


def spool(archives: Sequence[Path], folder: Path, shards: Mapping[int, set[int]]) -> None:
    """Reads the archives once, and copies the files of some locations.

    A pass that was killed starts over, and so does one whose archive has changed; a complete one is not repeated.
    Of a truncated archive, the files before its end are kept, with a warning.

    Args:
        archives: ``.tar.gz`` or ``.tar``, in any order.
        folder: Folder of the store; see `SpooledFiles`.
        shards: Shard -> ids of its locations.

    Raises:
        ValueError: A file is no archive.
        OSError: The disk is full.
    """
    mark = "\n".join(f"{archive.resolve()} {_stamp(archive)}" for archive in archives).encode()
    if all(_mark(spool_path(folder, shard)) == mark for shard in shards):
        return
    with ExitStack() as stack:
        writers = {}
        for shard, numbers in shards.items():
            path = spool_path(folder, shard)
            # LMDB must not write to a file that may be damaged.
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True)
            writers[shard] = _Spool(path, _MAP_BYTES * (1 + len(numbers)))
            stack.callback(writers[shard].close)
        where = {number: writers[shard] for shard, numbers in shards.items() for number in numbers}
        left_out: set[int] = set()
        pending = 0
        for archive in archives:
            for number, key, data in _files(archive):
                writer = where.get(number)
                if writer is None:
                    left_out.add(number)
                    continue
                writer.put(key, data)
                pending += len(data)
                if pending >= _BATCH_BYTES:
                    pending = 0
                    for each in writers.values():
                        each.flush()
        for writer in writers.values():
            writer.finish(mark)
        if left_out:
            log.info("%d locations of the archives are not needed", len(left_out))


def _mark(path: Path) -> bytes | None:
    """The archives that were copied completely to an LMDB; None where none were, or it is damaged."""
    try:
        value = LmdbReader(path).get(_PASSED)
    except ValueError:
        return None
    return None if value is None else bytes(value)


class _Spool:
    """The files of one shard."""

    def __init__(self, path: Path, map_bytes: int) -> None:
        self._env = lmdb.open(str(path), map_size=map_bytes, lock=False, sync=False, metasync=False)
        self._path = path
        self._pending: dict[bytes, bytes] = {}

    def put(self, key: str, data: bytes) -> None:
        self._pending[key.encode()] = data

    def flush(self) -> None:
        if not self._pending:
            return
        try:
            with self._env.begin(write=True) as txn:
                for key, data in sorted(self._pending.items()):
                    txn.put(key, data)
        except lmdb.Error as error:
            raise OSError(f"cannot write {self._path}: {error}. Free space; the same command resumes") from error
        self._pending.clear()

    def finish(self, mark: bytes) -> None:
        """Marks the pass as complete, after all data are on the disk."""
        self.flush()
        self._env.sync(True)
        self._pending[_PASSED] = mark
        self.flush()
        self._env.sync(True)

    def close(self) -> None:
        self._env.close()


def _files(archive: Path) -> Iterator[tuple[int, str, bytes]]:
    """Id, key and bytes of every TIFF in an archive, in its order; ends with a warning where it breaks."""
    count = 0
    last = "its start"
    skipped = Messages(_MOST_NAMED)
    taken: Counter[int] = Counter()
    try:
        with opened(archive) as tar:
            for member in tar:
                # Otherwise tarfile would keep millions of them.
                tar.members.clear()  # type: ignore[attr-defined]
                last = shown(member.name)
                match = _MEMBER.search(member.name)
                if match is None or member.isdir() or not member.name.lower().endswith(TIFF):
                    continue
                stem = match["file"].lower().rsplit(".", 1)[0]
                part = "labels" if stem == "label" else _PARTS.get((match["part"] or "").lower())
                if part is None:
                    continue
                number = int(match["id"])
                key = f"{part}/{number:07d}/{match['season']}/{stem}"
                problem = wanted(member) or key_problem(key)
                if not problem and taken[number] + member.size > _MOST_BYTES:
                    problem = f"the files of {number:07d} before it have {taken[number]} bytes already"
                if problem:
                    skipped.add(f"{shown(member.name)} ({problem})")
                    continue
                file = tar.extractfile(member)
                data = file.read() if file else b""
                if len(data) != member.size:
                    raise tarfile.ReadError("unexpected end of data")
                count += 1
                taken[number] += len(data)
                yield number, key, data
    except BROKEN as error:
        if count == 0:
            raise ValueError(f"{archive} cannot be read as an archive ({shown(str(error))}): fetch it again") from error
        log.warning(
            "%s breaks off after %s (%d files are complete): %s. What came before is kept; fetch it again, and set "
            "retry=true to try the rest",
            archive,
            last,
            count,
            shown(str(error)),
        )
    if skipped.total:
        log.warning("%s: %d members are left out: %s", archive, skipped.total, ", ".join(skipped.lines()))
    if count == 0:
        log.warning("%s holds no file such as s1/0000005/20200114T100000/VV.tif", archive)


def _stamp(archive: Path) -> str:
    status = archive.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
