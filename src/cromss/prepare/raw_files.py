"""The raw files of a location: in folders, or copied from an archive to LMDBs."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

from cromss.io.lmdb_reader import LmdbReader

TIFF = (".tif", ".tiff")
SPOOL = ".spool"

Listing = Mapping[str, Mapping[str, str]]
"""Season folder -> file name in lower case without extension -> name for `read`."""


class AbsentError(ValueError):
    """The source does not hold a location that its table of ids names."""


class FolderFiles:
    """Files under ``<folder of the part>/<id>/<season>/<name>.tif``, in any case, with or without leading zeros.

    Args:
        folders: Part -> its folder.

    Raises:
        ValueError: A folder cannot be listed, or two folders in it have the same id.
    """

    def __init__(self, folders: Mapping[str, Path]) -> None:
        self._names = {part: _names(folder) for part, folder in folders.items()}
        self._folders = dict(folders)

    def ids(self, part: str) -> list[int]:
        """The ids that have a folder, in order."""
        return sorted(self._names[part])

    def listing(self, part: str, index: int, number: int) -> Listing:
        """The files of one location.

        Args:
            part: ``s1``, ``s2`` or ``labels``.
            index: Position of the location among all.
            number: Its id.

        Raises:
            AbsentError: The source holds no file of it.
            ValueError: Two names differ only in case.
        """
        name = self._names[part].get(number)
        if name is None:
            raise AbsentError(f"{self._folders[part]} holds no folder {number:07d}")
        folder = self._folders[part] / name
        try:
            with os.scandir(folder) as entries:
                seasons = sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
            return {season: _files(folder / season) for season in seasons}
        except OSError as error:
            raise ValueError(f"{folder} cannot be listed: {error.strerror}") from error

    def read(self, index: int, name: str) -> bytes:
        """All bytes of a file that `listing` named; OSError where they cannot be read."""
        if not Path(name).is_file():
            raise OSError(errno.EINVAL, "it is no regular file")
        return Path(name).read_bytes()


class SpooledFiles:
    """Files that `spool` copied from archives, in one LMDB per shard of the future store.

    Args:
        folder: Folder of the store.
        per_shard: Locations in a shard.
    """

    def __init__(self, folder: Path, per_shard: int) -> None:
        self._folder = folder
        self._per_shard = per_shard
        self._open: tuple[int, LmdbReader] | None = None

    def listing(self, part: str, index: int, number: int) -> Listing:
        """The files of one location; see `FolderFiles`."""
        prefix = f"{part}/{number:07d}/"
        found: dict[str, dict[str, str]] = {}
        for key in self._shard(index).keys(prefix.encode()):
            name = key.decode()
            season, file = name[len(prefix) :].split("/")
            found.setdefault(season, {})[file.lower()] = name
        if not found:
            raise AbsentError(f"the archive holds no {part} of {number:07d}")
        return found

    def read(self, index: int, name: str) -> bytes:
        """All bytes of a file; see `FolderFiles`."""
        data = self._shard(index).get(name.encode())
        if data is None:
            raise OSError(f"{name} is no longer there")
        return bytes(data)

    def _shard(self, index: int) -> LmdbReader:
        shard = index // self._per_shard
        if self._open is None or self._open[0] != shard:
            self._open = shard, LmdbReader(spool_path(self._folder, shard))
        return self._open[1]


RawFiles = FolderFiles | SpooledFiles
"""The files of all locations, by the part of the data set that they belong to. Picklable."""


def spool_path(folder: Path, shard: int) -> Path:
    """The LMDB with the raw files of a shard of the store in `folder`."""
    return folder / SPOOL / f"{shard:05d}"


def _names(folder: Path) -> dict[int, str]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.isdecimal() and entry.is_dir()]
    except OSError as error:
        raise ValueError(f"{folder} cannot be listed ({error.strerror}): it holds one folder per location") from error
    found: dict[int, str] = {}
    for name in sorted(names):
        if (other := found.setdefault(int(name), name)) != name:
            raise ValueError(f"{folder} holds {other} and {name}, which mean the same id: remove one")
    return found


def _files(folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            stem, _, ending = entry.name.lower().rpartition(".")
            if f".{ending}" not in TIFF or not stem:
                continue
            if (other := files.setdefault(stem, entry.path)) != entry.path:
                raise ValueError(f"{other} and {entry.path} mean the same file: remove one")
    return files
