"""Read-only LMDBs: opened lazily in every process, and checked to be the file that was first opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cromss.io.lmdb_pages import DamagedLmdbError, LmdbPages

FileIdentity = tuple[int, int, int]


class LmdbReader:
    """One LMDB on disk, a directory with ``data.mdb`` or a single file, opened read-only and without locks.

    Any number of readers may name the same LMDB in one process. A reader that a fork inherits stays open; a pickled
    copy opens the file again.

    Args:
        path: The LMDB.

    Raises:
        ValueError: `path` is absent, is no LMDB, or is shorter than its own header says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: FileIdentity | None = None
        self._pages: LmdbPages | None = None
        self._open()

    def get(self, key: bytes) -> memoryview | None:
        """The value of a key, as a view of the file; None where there is no such key.

        Raises:
            DamagedLmdbError: The pages that lead to the key contradict themselves.
            ValueError: The LMDB was replaced or removed since it was first opened.
        """
        return self._open().get(key)

    def all_keys(self) -> Iterator[bytes]:
        """All keys, in their order; at last DamagedLmdbError unless they are as many as the file names."""
        return self._open().keys_from()

    def keys(self, prefix: bytes) -> Iterator[bytes]:
        """All keys that begin with `prefix`, in their order; errors are those of `get`."""
        for key in self._open().keys_from(prefix):
            if not key.startswith(prefix):
                return
            yield key

    @property
    def entries(self) -> int:
        """Number of keys, as the file names it."""
        return self._open().entries

    def _open(self) -> LmdbPages:
        if self._pages is None:
            file = data_file(self.path)
            try:
                # Non-blocking, in case a pipe has replaced the file.
                descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError as error:
                raise ValueError(f"{file} cannot be read: {error.strerror}") from error
            try:
                status = os.fstat(descriptor)
                identity = status.st_ino, status.st_mtime_ns, status.st_size
                if self._identity not in (None, identity):
                    raise ValueError(f"{self.path} was replaced while it was in use: start again")
                self._pages = LmdbPages(descriptor)
                self._identity = identity
            except (DamagedLmdbError, OSError) as error:
                raise ValueError(
                    f"{self.path} cannot be opened as an LMDB ({error}): copy or create it again"
                ) from error
            finally:
                os.close(descriptor)
        return self._pages

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_identity": self._identity, "_pages": None}


def is_lmdb(path: Path) -> bool:
    """Whether `path` looks like an LMDB: a directory with ``data.mdb``, or a file that ends in mdb."""
    return (path / "data.mdb").is_file() or (path.is_file() and path.name.lower().endswith("mdb"))


def data_file(path: Path) -> Path:
    """The file behind an LMDB directory or file; ValueError where there is none."""
    file = path / "data.mdb" if path.is_dir() else path
    if not file.is_file():
        reason = "holds no data.mdb, so it is no LMDB" if path.is_dir() else "does not exist"
        raise ValueError(f"{path} {reason}: check the path")
    return file
