"""Writes a store beside its target and moves it there when it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import lmdb
import numpy as np

from cromss.dataset.checks import check_array, check_finite, check_info, check_labels, check_location_id
from cromss.dataset.reader import DatasetInfo
from cromss.dataset.statistics import Statistics
from cromss.dataset.store_format import CODECS, FIELDS, META_KEY, Meta, field_key, image_key, seal
from cromss.io.atomic import move_into_place, remove_leftovers, sibling
from cromss.io.lmdb_reader import LmdbReader

_BATCH_BYTES = 32 * 2**20
_FIRST_MAP_BYTES = 2**28


class StoreWriter:
    """Builds a store in a hidden directory beside `target`; a clean exit of the ``with`` block renames it.

    An exception or Ctrl-C removes what was written. A killed writer leaves a directory that does not open as a store
    and that the next writer to the same target on the same host removes.

    Args:
        target: Directory of the store to be.
        info: What is true of all locations. Its `statistics` are completed by those of what is written: mean and
            standard deviation per band in stored units, and class shares.
        compression: Field (``s1``, ``s2``, ``labels``, ``truth``) -> ``none`` or ``zstd``; a field left out is not
            compressed.
        overwrite: True replaces a store at `target`, once the new one is complete.

    Raises:
        ValueError: `target` exists and may not be replaced, or a setting is none of the allowed ones.
    """

    def __init__(self, target: str | Path, info: DatasetInfo, compression: Mapping[str, str], overwrite: bool) -> None:
        self.target = Path(target).resolve()
        self.info = info
        self.overwrite = overwrite
        self.count = 0
        check_info(info)
        self._compression = _complete(compression)
        check_target(self.target, overwrite)
        bands = {name: len(stored.bands) for name, stored in info.modalities.items()}
        self._statistics = Statistics(bands, len(info.classes))
        self._ids: set[str] = set()
        self._pending: list[tuple[bytes, bytes]] = []
        self._pending_bytes = 0
        self._written_bytes = 0

    def __enter__(self) -> Self:
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self.target)
            self._partial = sibling(self.target, "partial")
            self._partial.mkdir()
            try:
                self._env = lmdb.open(
                    str(self._partial), map_size=_FIRST_MAP_BYTES, mode=0o644, sync=False, metasync=False, lock=False
                )
            except BaseException:
                shutil.rmtree(self._partial)
                raise
        except (lmdb.Error, OSError) as error:
            raise OSError(f"cannot write a store to {self.target}: {error}. Choose another folder") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._env.close()
            shutil.rmtree(self._partial, ignore_errors=True)

    def add(
        self,
        location_id: str,
        images: Mapping[str, np.ndarray],
        labels: np.ndarray,
        truth: np.ndarray | None = None,
    ) -> None:
        """Appends one location.

        Args:
            location_id: Its name in the source, unique in the store.
            images: Modality -> ``(T, K, H, W)`` in the declared dtype.
            labels: Noisy labels, uint8 ``(T, H, W)``: a class from 0, or 255.
            truth: Exact labels like `labels`; given exactly where the store is declared to have them.

        Raises:
            ValueError: Something is not as declared, out of range or not finite; the message names the location.
            OSError: The disk is full.
        """
        self._check(location_id, images, labels, truth)
        index = self.count
        self._put(field_key(index, "id"), location_id.encode(), "none")
        self._put(field_key(index, "labels"), labels.tobytes(), self._compression["labels"])
        for modality, image in images.items():
            for season in range(self.info.seasons):
                key = image_key(index, modality, season)
                self._put(key, image[season].tobytes(), self._compression[modality])
        if truth is not None:
            self._put(field_key(index, "truth"), truth.tobytes(), self._compression["truth"])
        self._ids.add(location_id)
        self._statistics.add(images, labels)
        self.count += 1
        if self._pending_bytes >= _BATCH_BYTES:
            with self._explained():
                self._write_pending()

    def _put(self, key: bytes, data: bytes, codec: str) -> None:
        value = seal(key, CODECS[codec].encode(data))
        self._pending.append((key, value))
        self._pending_bytes += len(value)

    def _write_pending(self) -> None:
        self._pending.sort()
        while True:
            try:
                with self._env.begin(write=True) as txn:
                    for key, value in self._pending:
                        txn.put(key, value, append=True)
                break
            except lmdb.MapFullError:
                self._env.set_mapsize(2 * self._env.info()["map_size"])
        self._written_bytes += self._pending_bytes
        self._pending.clear()
        self._pending_bytes = 0

    def _finish(self) -> None:
        if self.count == 0:
            raise ValueError(f"nothing was added to the store {self.target}: an empty one is of no use")
        check_target(self.target, self.overwrite)
        info = replace(self.info, statistics={**self.info.statistics, **self._statistics.as_dict()})
        compression = {field: codec for field, codec in self._compression.items() if field in _fields(info)}
        with self._explained():
            self._write_pending()
            # Only a complete store has a description, so nothing else ever opens.
            self._env.sync(True)
            self._put(META_KEY, Meta(info, self.count, compression).encode(), "none")
            self._write_pending()
            self._env.sync(True)
            self._env.close()
            move_into_place(self._partial, self.target)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Says of a failure to write how far it got and what helps."""
        try:
            yield
        except (lmdb.Error, OSError) as error:
            written, free = self._written_bytes, shutil.disk_usage(self.target.parent).free
            raise OSError(
                f"cannot write the store {self.target} after {written:,} bytes: {error}. "
                f"{free:,} bytes are free there; what was written is removed. Free space, or choose another disk"
            ) from error

    def _check(
        self, location_id: str, images: Mapping[str, np.ndarray], labels: np.ndarray, truth: np.ndarray | None
    ) -> None:
        info = self.info
        where = f"location {location_id!r}"
        try:
            check_location_id(location_id)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        if location_id in self._ids:
            raise ValueError(f"{where} is there twice: ids are unique")
        if set(images) != set(info.modalities):
            raise ValueError(f"{where} has {', '.join(images)}: the store holds {', '.join(info.modalities)}")
        for modality, image in images.items():
            stored = info.modalities[modality]
            check_array(f"{where}, {modality}", image, (info.seasons, len(stored.bands), *info.size), stored.dtype)
            check_finite(f"{where}, {modality}", image, stored.bands)
        if (truth is not None) != info.has_truth:
            expected = "needs" if info.has_truth else "must not have"
            raise ValueError(f"{where} {expected} exact labels (truth), as the store is declared")
        for name, array in (("labels", labels), ("truth", truth)):
            if array is not None:
                check_array(f"{where}, {name}", array, (info.seasons, *info.size), "uint8")
                check_labels(f"{where}, {name}", array, len(info.classes))


def _complete(compression: Mapping[str, str]) -> dict[str, str]:
    for field, codec in compression.items():
        if field not in FIELDS or codec not in CODECS:
            raise ValueError(
                f"compression.{field}={codec}: fields are {', '.join(FIELDS)}, codecs are {', '.join(CODECS)}"
            )
    return {field: compression.get(field, "none") for field in FIELDS}


def _fields(info: DatasetInfo) -> list[str]:
    return [*info.modalities, "labels", *(["truth"] if info.has_truth else [])]


def check_target(target: str | Path, overwrite: bool) -> None:
    """Raises ValueError unless a store may be written to `target`."""
    target = Path(target)
    if not target.exists():
        return
    if not overwrite:
        raise ValueError(f"{target} exists: choose another path, or replace it with overwrite=true")
    # Nothing but a store is ever deleted, so that a mistyped path never deletes a folder of images.
    if not _is_store(target):
        raise ValueError(
            f"{target} is no intact store, so it is not overwritten: remove it yourself or choose another path"
        )


def _is_store(path: Path) -> bool:
    if not path.is_dir() or not {"data.mdb"} <= {child.name for child in path.iterdir()} <= {"data.mdb", "lock.mdb"}:
        return False
    return holds_store(path)


def holds_store(path: Path) -> bool:
    """Whether the LMDB at `path` is a complete store, of any version; False where it does not open."""
    try:
        return LmdbReader(path).get(META_KEY) is not None
    except ValueError:
        return False
