"""Reads the published LMDBs, whose values are pickles, behind the interface of the store and without running them.

`reference_formats` describes the formats; one reader reads them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cromss.dataset.bands import BANDS
from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.dataset.reference_formats import FORMATS, LABELS, Format
from cromss.dataset.store import open_store
from cromss.dataset.store_writer import holds_store
from cromss.io.lmdb_pages import DamagedLmdbError
from cromss.io.lmdb_reader import LmdbReader, is_lmdb
from cromss.io.plain import shown
from cromss.io.safe_pickle import load_plain

_REMEMBERED = 4096
"""Locations whose ids are compared between modalities: many batches."""


class ReferenceReader(LocationReader):
    """Reads published LMDBs.

    A value holds all seasons of a modality, so reading one season reads all of them: convert to a store to train fast.

    Args:
        paths: ``s1``, ``s2`` and ``labels`` -> LMDB; one LMDB may be named three times.
        kind: A key of `FORMATS`.

    Raises:
        ValueError: An LMDB is absent or damaged, or the three disagree in number, size or seasons.
    """

    def __init__(self, paths: Mapping[str, Path], kind: str) -> None:
        self._format = FORMATS[kind]
        self._paths = dict(paths)
        self.name = self._paths[LABELS]
        self._lmdbs = {name: LmdbReader(path) for name, path in paths.items()}
        self._remap = np.full(256, -1, dtype=np.int16)
        self._remap[list(self._format.remap)] = list(self._format.remap.values())
        self._seen: dict[int, tuple[str, str]] = {}
        self._count = self._agreed_count()
        arrays = {name: self._read(0, name)[0] for name in self._format.entries}
        size = arrays[LABELS].shape[-2:]
        self.info = DatasetInfo(
            modalities={
                name: ModalityInfo(tuple(band.name for band in BANDS[name]), entry.dtype, entry.dtype == "uint8")
                for name, entry in self._format.entries.items()
                if name != LABELS
            },
            classes=self._format.classes,
            seasons=arrays[LABELS].shape[0],
            size=(size[0], size[1]),
        )
        for name, array in arrays.items():
            self._check_shape(0, name, array)

    def __len__(self) -> int:
        """Number of locations."""
        return self._count

    def _id(self, index: int) -> str:
        """The id that the value carries, 7 digits or a file name without its first word; else the index."""
        return self._read(index, LABELS)[1]

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        array, _ = self._read(index, modality)
        self._check_shape(index, modality, array)
        out[...] = array[season, list(bands)]

    def _labels(self, index: int) -> np.ndarray:
        array, _ = self._read(index, LABELS)
        self._check_shape(index, LABELS, array)
        classes = self._remap[array]
        if (classes < 0).any():
            values = np.unique(array[classes < 0])[:10].tolist()
            raise ValueError(
                f"{self._where(index, LABELS)}: label values {values} are none of {sorted(self._format.remap)}: the "
                "file is damaged, or of another kind"
            )
        return classes.astype(np.uint8)

    def _agreed_count(self) -> int:
        counts = {name: self._count_keys(name) for name in self._format.entries}
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{count} {name} ({self._paths[name]})" for name, count in counts.items())
            raise ValueError(f"numbers of locations disagree: {found}. All three have to come from one release")
        count = counts[LABELS]
        if count == 0:
            keys = ", ".join(f"{entry.prefix}0" for entry in self._format.entries.values())
            raise ValueError(f"{self._paths[LABELS]} holds no location (keys {keys}, …): check path and kind")
        return count

    def _count_keys(self, name: str) -> int:
        prefix = self._format.entries[name].prefix.encode()
        try:
            # All keys, as only then their number is compared with that in the header.
            return sum(key.startswith(prefix) for key in self._lmdbs[name].all_keys())
        except DamagedLmdbError as error:
            raise ValueError(f"{self._paths[name]} is damaged ({error}): fetch it again") from error

    def _read(self, index: int, name: str) -> tuple[np.ndarray, str]:
        """The array of all seasons under a key, read-only, and the location's id."""
        key = f"{self._format.entries[name].prefix}{index}".encode()
        try:
            value = self._lmdbs[name].get(key)
            if value is None:
                raise ValueError("the value is missing: the file is incomplete, or of another kind")
            content = load_plain(value)
            array, location = _unpack(content, self._format, self._format.entries[name].dtype, index)
        except DamagedLmdbError as error:
            raise ValueError(f"{self._where(index, name)}: the file is damaged ({error}); fetch it again") from error
        except ValueError as error:
            raise ValueError(f"{self._where(index, name)}: {error}") from error
        self._check_id(index, name, location)
        return array, location

    def _check_id(self, index: int, name: str, location: str) -> None:
        """Compares with what was read of this location before: batches read one modality after the other."""
        seen_name, seen = self._seen.setdefault(index, (name, location))
        if seen != location:
            raise ValueError(
                f"location {index}: {seen_name} belongs to {seen!r} ({self._paths[seen_name]}) and {name} "
                f"to {location!r} ({self._paths[name]}). The files do not belong together: take all from one release"
            )
        if len(self._seen) > _REMEMBERED:
            # The oldest, so that memory stays the same however many locations there are.
            del self._seen[next(iter(self._seen))]

    def _check_shape(self, index: int, name: str, array: np.ndarray) -> None:
        bands = () if name == LABELS else (len(self.info.modalities[name].bands),)
        expected = (self.info.seasons, *bands, *self.info.size)
        if array.shape != expected:
            raise ValueError(
                f"{self._where(index, name)}: its shape is {array.shape}, all others need {expected}: the files are "
                "of different releases, or of another kind"
            )

    def _where(self, index: int, name: str) -> str:
        return f"{self._paths[name]}, key {self._format.entries[name].prefix}{index} ({name})"


def open_reference(path: str | Path | Mapping[str, str | Path], kind: str) -> ReferenceReader:
    """Opens published LMDBs.

    Args:
        path: For ``nol`` a directory that holds three LMDBs whose names contain the words ``s1``, ``s2`` or ``s2c``,
            and ``label``; for the other kinds the LMDB itself. Or the paths, as ``{"s1": …, "s2": …, "labels": …}``.
        kind: ``nol``, ``dw``, ``osm`` or ``dfc2020``.

    Raises:
        ValueError: Unknown kind, absent or damaged files, or files that do not belong together.
    """
    if kind not in FORMATS:
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(FORMATS)}")
    names = FORMATS[kind].entries
    if isinstance(path, Mapping):
        if set(path) != set(names):
            raise ValueError(f"paths are given for {', '.join(path)}: {', '.join(names)} are needed")
        return ReferenceReader({name: Path(one).expanduser() for name, one in path.items()}, kind)
    path = Path(path)
    if not path.exists():
        raise ValueError(f"{path} does not exist: check the path")
    if FORMATS[kind].files:
        return ReferenceReader(_find_files(path, FORMATS[kind].files), kind)
    if not is_lmdb(path):
        raise ValueError(f"{path} is no LMDB: for kind {kind} give the LMDB itself. There {_list_lmdbs(path)}")
    return ReferenceReader(dict.fromkeys(names, path), kind)


def open_dataset(path: str | Path, kind: str = "nol") -> LocationReader:
    """Opens a dataset of one of the published kinds.

    Args:
        path: A store (or a folder of its shards), or what was published. For ``nol`` that is a folder with three LMDBs,
            in whose names the words ``s1``, ``s2`` or ``s2c``, and ``label`` or ``labels`` stand; for the other kinds
            the LMDB itself. Shards of a store may have any name.
        kind: ``nol``, ``dw``, ``osm`` or ``dfc2020``: the layout of published files. A store does not need it.

    Returns:
        The reader.

    Raises:
        ValueError: There is no readable dataset, or the kind is unknown.
    """
    if kind not in FORMATS:
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(FORMATS)}")
    # A folder named 2020 comes from the command line as a number.
    folder = Path(str(path)).expanduser()
    is_store = any(is_lmdb(one) and holds_store(one) for one in (folder, *folder.glob("*.lmdb")))
    # The files of other kinds are named by their path, so a path that is none of them is worth a word.
    if not is_store and (_published_in(folder) or not FORMATS[kind].files):
        return open_reference(folder, kind)
    return open_store(folder)


def _find_files(folder: Path, words: Mapping[str, tuple[str, ...]]) -> dict[str, Path]:
    """For each kind of value the one LMDB in `folder` that has one of its words in its name."""
    found = {}
    for name, accepted in words.items():
        matches = [lmdb for lmdb in _lmdbs_in(folder) if _bears(lmdb, accepted)]
        if len(matches) != 1:
            raise ValueError(
                f"{folder} holds {len(matches)} LMDBs whose name contains {' or '.join(accepted)}, and 1 is needed. "
                f"There {_list_lmdbs(folder)}. The three paths may also be given: {', '.join(words)}"
            )
        found[name] = matches[0]
    return found


def _published_in(folder: Path) -> list[Path]:
    """The LMDBs in `folder`, if it is one, that bear a word of the published NoL files in their names."""
    words = [word for accepted in FORMATS["nol"].files.values() for word in accepted]
    return [lmdb for lmdb in _lmdbs_in(folder) if _bears(lmdb, words)]


def _bears(lmdb: Path, words: Iterable[str]) -> bool:
    return not set(words).isdisjoint(re.split("[^a-z0-9]+", lmdb.name.lower()))


def _lmdbs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    # Leftovers of a killed writer have hidden names.
    return sorted(child for child in folder.iterdir() if is_lmdb(child) and not child.name.startswith("."))


def _list_lmdbs(folder: Path) -> str:
    return f"are: {', '.join(lmdb.name for lmdb in _lmdbs_in(folder)) or 'no LMDBs'}"


def _unpack(content: Any, layout: Format, dtype: str, index: int) -> tuple[np.ndarray, str]:
    """Checks an unpickled ``(bytes, shape[, id])`` and makes an array with a season axis and an id of it."""
    length = 2 if layout.ids == "none" else 3
    if not isinstance(content, tuple) or len(content) != length:
        raise ValueError(f"the value is no tuple of {length}, as this kind has them: check kind")
    data, shape = content[:2]
    if not isinstance(data, bytes) or not _is_shape(shape):
        raise ValueError("the value is not (bytes, shape, …)")
    if len(data) != prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{len(data)} bytes do not make {dtype} {shape}: check kind")
    array = np.frombuffer(data, dtype).reshape(shape)
    return array if layout.seasons else array[None], _location_id(content, layout.ids, index)


def _is_shape(shape: Any) -> bool:
    """Whether it is a tuple of up to 4 positive sizes: season, band, height and width."""
    return isinstance(shape, tuple) and 0 < len(shape) <= 4 and all(type(n) is int and n > 0 for n in shape)


def _location_id(content: tuple[Any, ...], ids: str, index: int) -> str:
    if ids == "none":
        return f"{index:07d}"
    stored = content[2]
    if ids == "int" and type(stored) is int:
        return f"{stored:07d}"
    if ids == "filename" and isinstance(stored, str) and "_" in stored:
        # s1_… and s2_… of one tile differ in their first word alone.
        return stored.split("_", 1)[1].removesuffix(".tif")
    # Of other types, which may be gigabytes long as text, the name has to do.
    found = shown(repr(stored)) if isinstance(stored, int | str) else f"of type {type(stored).__name__}"
    raise ValueError(f"the id {found} is none of this kind")
