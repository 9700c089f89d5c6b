"""Read-only LMDB environments: opened lazily in every process, checked against their file, shared within a process."""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import lmdb

FileIdentity = tuple[int, int, int]


class LmdbReader:
    """One LMDB on disk, a directory with ``data.mdb`` or a single file, opened read-only and without locks.

    Any number of readers may name the same LMDB in one process, though LMDB itself allows one environment for each:
    they share it. A copy that is pickled, or inherited by a fork, opens an environment of its own on first use.

    Args:
        path: The LMDB.

    Raises:
        ValueError: `path` is absent, is no LMDB, or is shorter than its own header says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = _identity(data_file(path))
        self._environment: _SharedEnvironment | None = None
        self._share()

    def begin(self) -> lmdb.Transaction:
        """A read transaction whose values are views that end with it.

        Raises:
            ValueError: The LMDB was replaced or removed since it was first opened.
        """
        return self._share().begin()

    @property
    def entries(self) -> int:
        """Number of keys."""
        return self._share().entries()

    def _share(self) -> _SharedEnvironment:
        if self._environment is None:
            environment = _ENVIRONMENTS.get(self._identity)
            if environment is None:
                environment = _SharedEnvironment(self.path, self._identity)
                _ENVIRONMENTS[self._identity] = environment
            self._environment = environment
        return self._environment

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_identity": self._identity, "_environment": None}


class _SharedEnvironment:
    """The one environment that a process has of a file."""

    def __init__(self, path: Path, identity: FileIdentity) -> None:
        self._path = path
        self._identity = identity
        self._open()

    def begin(self) -> lmdb.Transaction:
        self._reopen_after_fork()
        return self._env.begin(buffers=True)

    def entries(self) -> int:
        self._reopen_after_fork()
        return self._env.stat()["entries"]

    def _reopen_after_fork(self) -> None:
        if self._pid != os.getpid():
            # LMDB forbids to use an inherited environment. Closing it here leaves the parent's as it is.
            self._env.close()
            self._open()

    def _open(self) -> None:
        file = data_file(self._path)
        if _identity(file) != self._identity:
            raise ValueError(f"{self._path} was replaced while it was in use: start again")
        size = file.stat().st_size
        if not size:
            raise ValueError(f"{file} is empty: copy or create it again")
        try:
            # Reads are random, so reading ahead would fetch values that nobody asked for.
            env = lmdb.open(
                str(self._path), subdir=self._path.is_dir(), readonly=True, lock=False, readahead=False, create=False
            )
        except lmdb.Error as error:
            raise ValueError(f"{self._path} cannot be opened as an LMDB ({error}): copy or create it again") from error
        # LMDB maps the file into memory: to touch a page behind the end of a shortened file kills the process.
        needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
        if size < needed:
            env.close()
            raise ValueError(
                f"{file} is truncated: {size} bytes where its header names {needed}; copy or create it again"
            )
        self._env = env
        self._pid = os.getpid()


_ENVIRONMENTS: weakref.WeakValueDictionary[FileIdentity, _SharedEnvironment] = weakref.WeakValueDictionary()


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


def _identity(file: Path) -> FileIdentity:
    status = file.stat()
    return status.st_ino, status.st_mtime_ns, status.st_size
