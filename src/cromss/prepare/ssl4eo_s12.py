"""SSL4EO-S12 as published: one TIFF per band, season and location, in native resolution, with noisy labels.

Layout: ``s1/<id>/<season>/{VV,VH}.tif``, ``s2c/<id>/<season>/{B1 … B12}.tif`` and, of the labels,
``<id>/<season>/label.tif``; season folders are named by time. Source: Wang et al., SSL4EO-S12 (IEEE GRSM 2023), and the
noisy labels that CromSS published for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import interpolate

from cromss.dataset.bands import BANDS
from cromss.dataset.checks import check_labels
from cromss.dataset.classes import CLASSES
from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.io.user_paths import as_path
from cromss.prepare.band_tiff import Band, read_band
from cromss.prepare.id_table import read_ids
from cromss.prepare.raw_files import FolderFiles, Listing, RawFiles, SpooledFiles
from cromss.prepare.spool import ARCHIVES, spool
from cromss.types import IGNORE_INDEX

LABEL = "label"
PARTS: Mapping[str, tuple[str, ...]] = {"s1": ("s1",), "s2": ("s2c", "s2")}
"""Modality -> names that its folder may have."""
# How many pixels of 10 m a pixel is wide. Sentinel-2 takes four bands at 10 m, six at 20 m and three at 60 m.
_PIXEL: Mapping[str, int] = {
    **dict.fromkeys(("VV", "VH", "B2", "B3", "B4", "B8"), 1),
    **dict.fromkeys(("B5", "B6", "B7", "B8A", "B11", "B12"), 2),
    **dict.fromkeys(("B1", "B9", "B10"), 6),
}

_FINE = tuple(name for name, width in _PIXEL.items() if width == 1 and name.startswith("B"))
"""Bands of S2 at 10 m, which no interpolation touches."""


class Ssl4eoReader(LocationReader):
    """Reads the raw files by id; a failure concerns a single location only.

    Args:
        files: Part (``s1``, ``s2``, ``labels``) -> its files; a part that is left out is read from the archives.
        table: Id -> names of the season folders of S2 and labels; an empty tuple takes the existing ones, by time.
        archives: Archives to read with `spool`.
        size: Pixels of 10 m per side; a multiple of 6.
        seasons: Number of seasons T.
    """

    def __init__(
        self,
        files: Mapping[str, RawFiles],
        table: Mapping[int, tuple[str, ...]],
        archives: Sequence[Path],
        size: int,
        seasons: int,
    ) -> None:
        self.name = "SSL4EO-S12"
        self.archives = tuple(archives)
        self._files = dict(files)
        self._ids = tuple(table)
        self._table = table
        self._listed: tuple[tuple[str, int], Listing] | None = None
        self._holes: dict[tuple[int, int], np.ndarray] = {}
        modalities = {
            modality: ModalityInfo(tuple(band.name for band in BANDS[modality]), "uint8", True) for modality in PARTS
        }
        self.info = DatasetInfo(modalities, tuple(CLASSES["dynamic_world"]), seasons, (size, size))

    def __len__(self) -> int:
        """Number of locations that should be there."""
        return len(self._ids)

    def _id(self, index: int) -> str:
        """The id, seven digits."""
        return f"{self._ids[index]:07d}"

    def spool(self, folder: Path, shards: Mapping[int, range], per_shard: int) -> None:
        """Copies the needed files from the archives in one pass, to be read from there; does nothing without archives.

        Args:
            folder: Folder of the future store.
            shards: Number of a shard -> positions of its locations.
            per_shard: Locations per shard.
        """
        if self.archives:
            numbers = {shard: {self._ids[index] for index in indices} for shard, indices in shards.items()}
            spool(self.archives, folder, numbers)
            spooled = SpooledFiles(folder, per_shard)
            self._files = {part: self._files.get(part, spooled) for part in (*PARTS, "labels")}

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        names = self.info.modalities[modality].bands
        wanted = [names[band] for band in bands]
        folder, files = self._season(modality, index, season)
        where = f"{modality} {self.location_id(index)}/{folder}"
        first: Band | None = None
        coarse: dict[int, list[tuple[int, np.ndarray]]] = {}
        for position, name in enumerate(wanted):
            band = self._band(modality, index, files, name, where, self.info.size[0] // _PIXEL[name])
            first = first or band
            # Coarse and fine bands may have different corners, but must have the same coordinate system.
            if band.system and first.system and band.system != first.system:
                raise ValueError(f"{where}: {wanted[0]}.tif and {name}.tif lie in different coordinate systems")
            if _PIXEL[name] == 1:
                out[position] = band.pixels
            else:
                coarse.setdefault(_PIXEL[name], []).append((position, band.pixels))
        for planes in coarse.values():
            out[[position for position, _ in planes]] = refine([pixels for _, pixels in planes], self.info.size[0])
        if modality == "s1" and len(wanted) == len(names) and not out.any():
            raise ValueError(f"{where}: all pixels are 0, so nothing was seen: leave the location out")
        if modality == "s2" and set(_FINE) <= set(wanted):
            self._holes = {key: hole for key, hole in self._holes.items() if key[0] == index}
            self._holes[index, season] = np.asarray(~out[[wanted.index(name) for name in _FINE]].any(axis=0))

    def _labels(self, index: int) -> np.ndarray:
        """Reads the labels; pixels without S2 data get none.

        Those are 0 in all bands of 10 m, where a reflectance of 0 is quantised to 10 to 51.
        """
        names = self.info.modalities["s2"].bands
        labels = np.empty((self.info.seasons, *self.info.size), np.uint8)
        for season in range(self.info.seasons):
            folder, files = self._season("labels", index, season)
            where = f"labels {self.location_id(index)}/{folder}"
            pixels = self._band("labels", index, files, LABEL, where, None).pixels
            factor, rest = divmod(self.info.size[0], pixels.shape[0])
            if rest or pixels.shape[0] != pixels.shape[1]:
                raise ValueError(f"{where} is {pixels.shape[1]} x {pixels.shape[0]} px: {self.info.size[0]} are needed")
            check_labels(where, pixels, len(self.info.classes))
            # Nearest neighbour, as interpolation would invent classes at edges.
            labels[season] = np.kron(pixels, np.ones((factor, factor), np.uint8)) if factor > 1 else pixels
            if (index, season) not in self._holes:
                self.read_images(index, season, "s2", [names.index(name) for name in _FINE])
            labels[season][self._holes[index, season]] = IGNORE_INDEX
        return labels

    def _season(self, part: str, index: int, season: int) -> tuple[str, Mapping[str, str]]:
        """Name and files of one season, the same for S2 and labels; S1 was recorded on other days."""
        number = self._ids[index]
        if self._listed is None or self._listed[0] != (part, number):
            self._listed = (part, number), self._files[part].listing(part, index, number)
        there = self._listed[1]
        named = () if part == "s1" else self._table[number]
        if missing := [name for name in named if name not in there]:
            raise ValueError(
                f"{part} of {number:07d}: season {', '.join(missing)} is missing; there are {_list(there)}"
            )
        folders = named or sorted(there, key=_time)
        if len(folders) != self.info.seasons:
            raise ValueError(
                f"{part} of {number:07d} has {len(folders)} seasons, not {self.info.seasons}: {_list(there)}"
            )
        return folders[season], there[folders[season]]

    def _band(self, part: str, index: int, files: Mapping[str, str], name: str, where: str, side: int | None) -> Band:
        file = files.get(name.lower())
        if file is None:
            raise ValueError(f"{where}: {name}.tif is missing; there are {_list(files)}")
        try:
            data = self._files[part].read(index, file)
        except OSError as error:
            raise ValueError(f"{where}/{name}.tif cannot be read: {error.strerror}") from error
        band = read_band(data, f"{where}/{name}.tif")
        height, width = band.pixels.shape
        if side is not None and (height, width) != (side, side):
            raise ValueError(f"{where}/{name}.tif is {width} x {height} px: {side} x {side} are needed")
        return band


def open_ssl4eo_s12(
    path: Path, labels: str | Path | None, ids: str | Path | None, size: int, seasons: int
) -> Ssl4eoReader:
    """Opens the raw files of SSL4EO-S12 with noisy labels.

    Args:
        path: Folder that holds the folders ``s1`` and ``s2c``; or an archive of both, ``.tar.gz`` or ``.tar``; or a
            folder of archives.
        labels: Folder of the labels, or their archive; None where they lie in `path`.
        ids: CSV of the locations and their seasons, see `read_ids`; None takes those that have a folder of labels.
        size: Pixels of 10 m per side, 264 as published.
        seasons: Number of seasons T, 4 as published.

    Raises:
        ValueError: A file or folder is missing, or is not of the expected kind.
    """
    of_labels = as_path(labels) if labels is not None else None
    for given in filter(None, (path, of_labels)):
        if not given.exists():
            raise ValueError(f"{given} does not exist: check the path")
    images_in, labels_in = _archives(path), _archives(of_labels) if of_labels else []
    files: dict[str, RawFiles] = {}
    if not images_in:
        files |= dict.fromkeys(PARTS, FolderFiles({part: _one_of(path, names) for part, names in PARTS.items()}))
    label_files = None
    if not labels_in and (of_labels or not images_in):
        label_files = FolderFiles({"labels": of_labels or path / "labels"})
        files["labels"] = label_files
    if ids is not None:
        table = read_ids(as_path(ids), seasons)
    elif label_files is None:
        raise ValueError("ssl4eo_s12.ids=… is missing: an archive of labels cannot be listed before it is read")
    else:
        table = dict.fromkeys(label_files.ids("labels"), ())
        if not table:
            raise ValueError(f"{of_labels or path / 'labels'} holds no folder named by an id, such as 0000005")
    return Ssl4eoReader(files, table, list(dict.fromkeys([*images_in, *labels_in])), size, seasons)


def _archives(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(child for child in path.iterdir() if child.is_file() and child.name.lower().endswith(ARCHIVES))


def _one_of(folder: Path, names: Sequence[str]) -> Path:
    there = {child.name.lower(): child for child in folder.iterdir() if child.is_dir()}
    for name in names:
        if name in there:
            return there[name]
    raise ValueError(f"{folder} holds no folder {' or '.join(names)}: there are {_list(there)}")


def _time(name: str) -> tuple[str, str]:
    """Sort key of a season folder: names of S1 products start with the satellite, so the day in them comes first."""
    day = re.search(r"\d{8}(T\d{6})?", name)
    return day[0] if day else "", name


def refine(planes: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Brings bands to a finer grid by bicubic interpolation.

    Antialiased as in Pillow, which the published data were made with: a few pixels in a thousand differ by one grey
    level. For 8-bit bands in groups of three, as in colour pictures, PyTorch takes a seventh of the time of Pillow.

    Args:
        planes: uint8, each ``(h, w)``.
        size: Pixels per side of the result.

    Returns:
        uint8 ``(K, size, size)``.
    """
    together = 3 if len(planes) % 3 == 0 else 1
    coarse = torch.from_numpy(np.stack(planes)).unflatten(0, (-1, together))
    fine = interpolate(coarse, size=(size, size), mode="bicubic", antialias=True)
    return fine.flatten(0, 1).numpy()


def _list(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:20]) or "none"
