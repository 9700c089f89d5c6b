"""One pass over archives of several 100 GB: what a store needs is laid down by shard, never unpacked to files.

An archive holds one modality after the other, so no location is whole before the end of the pass; and millions of tiny
files would take longer to make and remove than to read. So the bytes of each file go, as they are, into an LMDB for the
shard of the store to be, which is removed when that shard is written.
"""

from __future__ import annotations

import logging
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import lmdb
from isal import igzip_lib, igzip_threaded
from tqdm import tqdm

from cromss.prepare.raw_files import TIFF, spool_path

log = logging.getLogger(__name__)

ARCHIVES = (".tar.gz", ".tgz", ".tar")
_MEMBER = re.compile(r"(?:^|/)(?:(?P<part>s1|s2c?|labels?)/)?(?P<id>\d{1,7})/(?P<season>[^/]+)/(?P<file>[^/]+)$", re.I)
_PARTS = {"s1": "s1", "s2": "s2", "s2c": "s2"}
_BATCH_BYTES = 64 * 2**20
# What is lost at most before the place where an archive breaks.
_BLOCK_BYTES = 2**18
# LMDB maps so many bytes of address space for a location, not of memory or disk: more than any takes.
_MAP_BYTES = 2**26
_PASSED = b"~passed"
# Its stub does not say that it is an exception.
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]


def spool(archives: Sequence[Path], folder: Path, shards: Mapping[int, set[int]]) -> None:
    """Passes over the archives once, and lays down the files of some locations. What is there already is kept.

    A pass that was killed starts over, and so does one whose archive has changed; one that came to its end is not done
    again. An archive that breaks keeps what came before, and is told of.

    Args:
        archives: ``.tar.gz`` or ``.tar``, in any order.
        folder: Of the store; see `SpooledFiles`.
        shards: Shard -> ids of its locations.

    Raises:
        ValueError: An archive is none.
        OSError: The disk is full.
    """
    mark = "\n".join(f"{archive.resolve()} {_stamp(archive)}" for archive in archives).encode()
    with ExitStack() as stack:
        writers = {}
        for shard, numbers in shards.items():
            path = spool_path(folder, shard)
            path.mkdir(parents=True, exist_ok=True)
            writers[shard] = _Spool(path, _MAP_BYTES * (1 + len(numbers)))
            stack.callback(writers[shard].close)
        if all(writer.mark() == mark for writer in writers.values()):
            return
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
            log.info("%d locations of the archives are none of those asked for", len(left_out))


class _Spool:
    """The files of one shard."""

    def __init__(self, path: Path, map_bytes: int) -> None:
        self._env = lmdb.open(str(path), map_size=map_bytes, lock=False, sync=False, metasync=False)
        self._path = path
        self._pending: dict[bytes, bytes] = {}

    def mark(self) -> bytes | None:
        with self._env.begin() as txn:
            return txn.get(_PASSED)

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
            raise OSError(f"cannot write {self._path}: {error}. Free space; the same command goes on") from error
        self._pending.clear()

    def finish(self, mark: bytes) -> None:
        """Only a whole pass is marked, and only when it lies on the disk."""
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
    try:
        with _opened(archive) as tar:
            for member in tar:
                match = _MEMBER.search(member.name)
                last = member.name
                if match is None or not member.isreg() or not member.name.lower().endswith(TIFF):
                    continue
                file = tar.extractfile(member)
                data = file.read() if file else b""
                if len(data) != member.size:
                    raise tarfile.ReadError("unexpected end of data")
                stem = match["file"].lower().rsplit(".", 1)[0]
                part = "labels" if stem == "label" else _PARTS.get((match["part"] or "").lower())
                if part is not None:
                    count += 1
                    number = int(match["id"])
                    yield number, f"{part}/{number:07d}/{match['season']}/{stem}", data
    except (tarfile.TarError, EOFError, zlib.error, _IsalError, OSError) as error:
        if count == 0:
            raise ValueError(f"{archive} cannot be read as an archive ({error}): fetch it again") from error
        log.warning(
            "%s breaks off after %s (%d files came whole): %s. What came before is kept; fetch it again, and say "
            "retry=true to try the rest",
            archive,
            last,
            count,
            error,
        )
    if count == 0:
        log.warning("%s holds no file such as s1/0000005/20200114T100000/VV.tif", archive)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    with (
        archive.open("rb") as raw,
        tqdm.wrapattr(
            raw, "read", total=archive.stat().st_size, desc=f"reading {archive.name}", unit="B", unit_scale=True
        ) as counted,
        ExitStack() as stack,
    ):
        stream: IO[bytes] = counted
        if raw.peek(2)[:2] == b"\x1f\x8b":
            stream = stack.enter_context(igzip_threaded.open(counted, "rb", threads=1, block_size=_BLOCK_BYTES))
        yield stack.enter_context(tarfile.open(fileobj=stream, mode="r|", bufsize=_BLOCK_BYTES))


def _stamp(archive: Path) -> str:
    status = archive.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
