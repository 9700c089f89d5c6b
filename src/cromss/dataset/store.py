"""Reads this project's store: one season of one location at a time, checked, in constant memory.

`store_format` describes the bytes, `StoreWriter` writes them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from math import prod
from pathlib import Path

import numpy as np

from cromss.dataset.checks import LONGEST_ID, InvalidIdError, check_location_id
from cromss.dataset.reader import LocationReader
from cromss.dataset.shard_folder import check_complete
from cromss.dataset.statistics import combine
from cromss.dataset.store_format import (
    CODECS,
    META_KEY,
    Meta,
    decode_meta,
    field_key,
    image_key,
    open_value,
)
from cromss.dataset.store_writer import StoreWriter
from cromss.io.atomic import restore
from cromss.io.lmdb_pages import DamagedLmdbError
from cromss.io.lmdb_reader import LmdbReader

__all__ = ["Store", "StoreWriter", "open_store"]

_EQUAL_IN_SHARDS = ("modalities", "classes", "seasons", "size", "has_truth")


class Store(LocationReader):
    """Reads one store, or several shards in the order of their names.

    Memory does not grow with the number of locations. Safe to fork, to pickle and to read from many processes.

    Args:
        path: The store, as users name it.
        shards: What it consists of; all agree in their description.
    """

    def __init__(self, path: Path, shards: Sequence[_Shard]) -> None:
        self.path = self.name = path
        self._shards = tuple(shards)
        self._starts = (0, *accumulate(shard.meta.count for shard in shards))
        info = shards[0].meta.info
        bands = {name: len(stored.bands) for name, stored in info.modalities.items()}
        whole = combine([shard.meta.info.statistics for shard in shards], bands, len(info.classes))
        self.info = replace(info, statistics={**info.statistics, **whole})

    def __len__(self) -> int:
        """Number of locations."""
        return self._starts[-1]

    def check_keys(self) -> None:
        """Reads all keys; ValueError where they are not in order or not as many as the description needs."""
        for shard in self._shards:
            shard.check_keys()

    def _id(self, index: int) -> str:
        shard, local = self._locate(index)
        key = field_key(local, "id")
        try:
            location_id = bytes(shard.payload(key, LONGEST_ID, index)).decode()
            check_location_id(location_id)
        except UnicodeDecodeError as error:
            raise shard.damaged(key, index, "the id is not UTF-8") from error
        except InvalidIdError as error:
            raise shard.damaged(key, index, str(error)) from error
        return location_id

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        stored = self.info.modalities[modality]
        shape = (len(stored.bands), *self.info.size)
        shard, local = self._locate(index)
        image = shard.array(image_key(local, modality, season), modality, shape, stored.dtype, index)
        if isinstance(bands, range):
            out[...] = image
        else:
            for position, band in enumerate(bands):
                out[position] = image[band]

    def _labels(self, index: int) -> np.ndarray:
        return self._read_labels(index, "labels")

    def _truth(self, index: int) -> np.ndarray:
        return self._read_labels(index, "truth")

    def _read_labels(self, index: int, field: str) -> np.ndarray:
        shard, local = self._locate(index)
        shape = (self.info.seasons, *self.info.size)
        return shard.array(field_key(local, field), field, shape, "uint8", index).copy()

    def _locate(self, index: int) -> tuple[_Shard, int]:
        shard = bisect_right(self._starts, index) - 1
        return self._shards[shard], index - self._starts[shard]


class _Shard:
    """One LMDB of a store."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lmdb = LmdbReader(path)
        try:
            value = self._lmdb.get(META_KEY)
        except DamagedLmdbError as error:
            raise ValueError(f"{self.path} is damaged ({error}); create the store again") from error
        if value is None:
            raise ValueError(
                f"{path} is an LMDB but no store. Published LMDBs are read, by the folder of all three, with "
                "`cromss.dataset.open_reference(path, kind)` and converted by `cromss prepare "
                "source=reference path=… out=…`; what an interrupted writer left behind has to be written again"
            )
        try:
            self.meta: Meta = decode_meta(value)
        except ValueError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        if self._lmdb.entries != self.meta.entries:
            raise ValueError(
                f"{path} is damaged: it holds {self._lmdb.entries} values where its {self.meta.count} locations "
                f"need {self.meta.entries}; create the store again"
            )

    def payload(self, key: bytes, longest: int, index: int) -> memoryview:
        """The checked payload under a key, as a view of the file."""
        try:
            value = self._lmdb.get(key)
            if value is None:
                raise ValueError("the value is missing")
            return open_value(key, value, longest)
        except ValueError as error:
            raise self.damaged(key, index, str(error)) from error

    def array(self, key: bytes, field: str, shape: tuple[int, ...], dtype: str, index: int) -> np.ndarray:
        """The checked and decoded array under a key, read-only; a view of the file where it is not compressed."""
        codec = CODECS[self.meta.compression[field]]
        size = prod(shape) * np.dtype(dtype).itemsize
        payload = self.payload(key, codec.longest(size), index)
        try:
            data = codec.decode(payload, size)
        except ValueError as error:
            raise self.damaged(key, index, str(error)) from error
        return np.frombuffer(data, dtype).reshape(shape)

    def check_keys(self) -> None:
        """ValueError unless all pages are in order and hold as many keys as the description needs."""
        try:
            for _ in self._lmdb.all_keys():
                pass
        except DamagedLmdbError as error:
            raise ValueError(f"{self.path} is damaged ({error}); create the store again") from error

    def damaged(self, key: bytes, index: int, reason: str) -> ValueError:
        """The error to raise for a damaged value."""
        return ValueError(
            f"store {self.path}, location {index}, key {key.decode()}: {reason}. The store is damaged: "
            f"`cromss prepare action=verify path={self.path}` lists all damage; then create the store again"
        )


def open_store(path: str | Path) -> Store:
    """Opens a store to read from.

    Args:
        path: The directory of a store, or one that holds several of them as ``*.lmdb``, which then are one dataset.

    Raises:
        ValueError: There is no store, it is damaged or of a newer version, or its shards disagree.
    """
    path = Path(path)
    restore(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist: give the directory that `cromss prepare` wrote")
    check_complete(path)
    parts = sorted(path.glob("*.lmdb")) if path.is_dir() and not (path / "data.mdb").exists() else [path]
    if not parts:
        raise ValueError(f"{path} is no store: it holds neither data.mdb nor shards (*.lmdb). {_advice(path)}")
    shards = [_Shard(part) for part in parts]
    first = shards[0]
    for shard in shards[1:]:
        for name in _EQUAL_IN_SHARDS:
            ours, theirs = getattr(first.meta.info, name), getattr(shard.meta.info, name)
            if ours != theirs:
                raise ValueError(
                    f"{first.path} and {shard.path} are no shards of one dataset, they disagree in {name}: "
                    f"{ours} and {theirs}. Keep them in different directories"
                )
    return Store(path, shards)


def _advice(path: Path) -> str:
    if next(path.rglob("*.tif"), None) is not None:
        return f"Convert its GeoTIFFs: `cromss prepare source=folder path={path} out=STORE`"
    return "Create one with `cromss prepare`"
