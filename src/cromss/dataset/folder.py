"""Reads folders of GeoTIFFs as they are: one folder per location, and inside it one per season where there are some."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from cromss.dataset.bands import BANDS
from cromss.dataset.classes import check_class_names
from cromss.dataset.geotiff import Header, absent, grid_difference, opened
from cromss.dataset.imagery.image import Image, open_image
from cromss.dataset.imagery.judge import judge
from cromss.dataset.imagery.labels import label_header, read_labels
from cromss.dataset.imagery.units import AUTO, check_setting
from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.io.plain import listed
from cromss.types import IGNORE_INDEX

_LARGEST = 10**8
"""Most pixels of a location: 13 bands of them are 2.6 GB."""

_KEPT = 32 * 2**20
"""Bytes of the cache of masks of unknown pixels."""


class FolderReader(LocationReader):
    """Reads ``path/<location>[/<season>]/<file>``, in the order of the names.

    The constructor checks the header of every file and some pixels of images, some ms per location, and reports all
    mistakes at once. Pixels are read on request and not kept. Images are opened by
    `cromss.dataset.imagery.image`: values are in published units, uint8 counts as quantised, and what is unknown in any
    modality has no label.

    Args:
        path: The folder of the locations. Names that start with a dot and files are passed over.
        files: Modality (``s1``, ``s2``) -> file name.
        labels: File name of the noisy labels: a class from 0, or 255, masked or nodata where there is none.
        truth: File name of exact labels like `labels`, or None.
        classes: Class names.
        s2_offset: Subtracted from S2 values, which do not fall below 0: 1000 for products of processing baseline 04.00
            and newer that still carry it, else 0. None reads the metadata of each file, and takes 0 where they state
            nothing and the values do not clearly carry it.
        units: Modality -> a key of `cromss.dataset.imagery.units.UNITS`, or ``"auto"``; one left out is ``"auto"``.

    Raises:
        ValueError: A setting is not allowed, a folder or file is absent or unreadable, files of a location differ in
            grid, locations differ in size, seasons or bands, bands cannot be identified, or values seem to be in other
            units or to carry another offset.
    """

    def __init__(
        self,
        path: str | Path,
        files: Mapping[str, str],
        labels: str,
        truth: str | None,
        classes: Sequence[str],
        s2_offset: int | None,
        units: Mapping[str, str],
    ) -> None:
        _check_settings(files, labels, truth, classes, s2_offset, units)
        # A folder named 2020 comes from the command line as a number.
        self.path = self.name = Path(str(path)).expanduser()
        self._files = {name: files[name] for name in BANDS if files.get(name) is not None}
        self._labels_file = labels
        self._truth_file = truth
        self._s2_offset = s2_offset
        self._units = dict(units)
        self._unknown = _Unknown()
        self._locations = _subfolders(self.path)
        if not self._locations:
            raise ValueError(
                f"{path} holds no folders: one folder per location is needed, with {', '.join(self._names())}"
            )
        self._seasons = self._find_seasons()
        self.info = self._check_files(tuple(classes))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_unknown": _Unknown()}

    def __len__(self) -> int:
        """Number of locations."""
        return len(self._locations)

    def _id(self, index: int) -> str:
        return self._locations[index]

    def _grid(self, index: int) -> Mapping[str, Any] | None:
        with opened(self._folders(index)[0] / self._labels_file) as source:
            return {"crs": source.crs, "transform": source.transform} if source.crs else None

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        out[...] = self._read(index, season, modality)[list(bands)]

    def _labels(self, index: int) -> np.ndarray:
        """Pixels that are unknown in any modality have no label."""
        return self._read_labels(index, self._labels_file)

    def _truth(self, index: int) -> np.ndarray:
        return self._read_labels(index, str(self._truth_file))

    def _image(self, folder: Path, modality: str) -> AbstractContextManager[Image]:
        return open_image(
            folder / self._files[modality],
            modality,
            units=self._units.get(modality, AUTO),
            s2_offset=self._s2_offset,
            unknown_offset=0,
        )

    def _read(self, index: int, season: int, modality: str) -> np.ndarray:
        """All bands in stored order; the mask of unknown pixels is cached for the labels, which are read next."""
        with self._image(self._folders(index)[season], modality) as image:
            # Whether a pixel is known may depend on all bands of the file.
            values, known = image.read(bands=self.info.modalities[modality].bands)
        self._unknown[index, season, modality] = ~known
        return values

    def _read_labels(self, index: int, name: str) -> np.ndarray:
        seasons = []
        for season, folder in enumerate(self._folders(index)):
            labels = read_labels(folder / name, len(self.info.classes))
            for modality in self._files:
                if (index, season, modality) not in self._unknown:
                    self._read(index, season, modality)
                labels[self._unknown[index, season, modality]] = IGNORE_INDEX
            seasons.append(labels)
        return np.stack(seasons)

    def _names(self) -> list[str]:
        return [*self._files.values(), self._labels_file, *([self._truth_file] if self._truth_file else [])]

    def _folders(self, index: int) -> list[Path]:
        folder = self.path / self._locations[index]
        return [folder / season for season in _subfolders(folder)] if self._seasons else [folder]

    def _find_seasons(self) -> int:
        """Number of season folders per location, 0 where the files lie in the folder of the location."""
        first = self.path / self._locations[0]
        return 0 if any((first / name).exists() for name in self._names()) else len(_subfolders(first))

    def _check_files(self, classes: tuple[str, ...]) -> DatasetInfo:
        """Compares every file with those beside it and with the first location; the description all agree on."""
        problems: list[str] = []
        found = _Found({}, {}, {})
        for index in range(len(self)):
            folders = self._folders(index)
            if self._seasons and len(folders) != self._seasons:
                first = self._locations[0]
                problems.append(
                    f"{self.path / self._locations[index]} holds {len(folders)} seasons, {first} {self._seasons}"
                )
            for folder in folders:
                problems += self._problems(folder, found)
        if problems:
            cure = "".join(f"\n  {line}" for line in self._cures(problems))
            raise ValueError(f"{self.path} cannot be read as a folder of locations:{listed(problems)}{cure}")
        return DatasetInfo(
            modalities={
                modality: ModalityInfo(bands, str(np.result_type(*found.dtypes[modality])), found.quantised[modality])
                for modality, bands in found.bands.items()
            },
            classes=classes,
            seasons=self._seasons or 1,
            size=found.size,
            has_truth=self._truth_file is not None,
        )

    def _cures(self, problems: Sequence[str]) -> Iterator[str]:
        missing = [problem for problem in problems if problem.endswith(" is missing")]
        if missing:
            yield "Files of other names (capitals count) are set by files, labels and truth"
        if units := [
            modality for modality in self._files if any(f"set units.{modality}=" in text for text in problems)
        ]:
            yield (
                f"Units are dataset.units.{units[0]} in training and folder.units.{units[0]} in prepare, for all "
                "locations; locations in other units are to be converted or left out"
            )
        if any("set s2_offset=" in text for text in problems):
            yield (
                "The offset is dataset.s2_offset in training and folder.s2_offset in prepare, for all locations; "
                "locations with another one are to be converted or left out"
            )
        for modality, name in self._files.items():
            if len(self._files) > 1 and any(problem.endswith(f"/{name} is missing") for problem in missing):
                yield (
                    f"Without {modality}, set dataset.files.{modality}=null in training and "
                    f"folder.files.{modality}=null in prepare"
                )

    def _problems(self, folder: Path, found: _Found) -> Iterator[str]:
        """The mistakes in one folder; `found` records the properties of the first files."""
        beside: tuple[str, Header] | None = None
        for name in self._names():
            file = folder / name
            try:
                header = self._look_at(folder, name, found)
            except ValueError as error:
                yield str(error)
                continue
            if header.size != found.size:
                yield f"{file}: size {header.size}, but {found.size} in the first location; all have to agree"
            beside = beside or (name, header)
            if difference := grid_difference(header, beside[1]):
                yield f"{file} and {beside[0]} beside it differ in {difference}: bring them to one grid"

    def _look_at(self, folder: Path, name: str, found: _Found) -> Header:
        """The header of a file that can be read like those before it; ValueError where it cannot."""
        modality = next((modality for modality, file in self._files.items() if file == name), None)
        file = folder / name
        if modality is None:
            header = label_header(file)
        else:
            with self._image(folder, modality) as image:
                header, bands, quantised = image.header, image.bands, image.quantised
                if prod(header.size) > _LARGEST:
                    raise ValueError(
                        f"{file} has {header.size[1]} x {header.size[0]} px: a location, which is read as a whole, has "
                        f"at most {_LARGEST / 1e6:g} million: cut it into tiles"
                    )
                judge(image)
                expected = found.bands.setdefault(modality, bands)
                if set(bands) != set(expected):
                    raise ValueError(
                        f"{file} holds bands {' '.join(bands)}, but {' '.join(expected)} in the first location; all "
                        "have to agree"
                    )
                if quantised != found.quantised.setdefault(modality, quantised):
                    ours, first = ("", "not ") if quantised else ("not ", "")
                    raise ValueError(
                        f"{file} is {ours}quantised, uint8, and {first}so in the first location; all have to agree"
                    )
                found.dtypes.setdefault(modality, set()).add(image.dtype)
        if not any(found.size):
            found.size = header.size
        return header


@dataclass
class _Found:
    """What the files of the first location hold, and the types of all.

    Attributes:
        bands: Modality -> published names in the order of the file.
        quantised: Modality -> whether its values are.
        dtypes: Modality -> types of its values.
        size: ``(H, W)``; zeros before a file was opened.
    """

    bands: dict[str, tuple[str, ...]]
    quantised: dict[str, bool]
    dtypes: dict[str, set[np.dtype]]
    size: tuple[int, int] = (0, 0)


class _Unknown:
    """Masks of unknown pixels of the files that were read last, by location, season and modality."""

    def __init__(self) -> None:
        self._packed: OrderedDict[tuple[int, int, str], tuple[tuple[int, int], np.ndarray | None]] = OrderedDict()
        self._bytes = 0

    def __contains__(self, key: tuple[int, int, str]) -> bool:
        return key in self._packed

    def __getitem__(self, key: tuple[int, int, str]) -> np.ndarray:
        size, packed = self._packed[key]
        if packed is None:
            return np.zeros(size, bool)
        return np.unpackbits(packed, count=size[0] * size[1]).view(bool).reshape(size)

    def __setitem__(self, key: tuple[int, int, str], mask: np.ndarray) -> None:
        if key in self._packed:
            return
        packed = np.packbits(mask) if mask.any() else None
        self._packed[key] = mask.shape[0:2], packed
        self._bytes += _weight(packed)
        while self._bytes > _KEPT and len(self._packed) > 1:
            _, (_, oldest) = self._packed.popitem(last=False)
            self._bytes -= _weight(oldest)


def _weight(packed: np.ndarray | None) -> int:
    return 256 + (0 if packed is None else packed.nbytes)


def _check_settings(files: Any, labels: Any, truth: Any, classes: Any, s2_offset: Any, units: Any) -> None:
    if not isinstance(files, Mapping) or set(files) - set(BANDS) or not any(files.values()):
        raise ValueError(f"files={files}: name a file for {' and '.join(BANDS)}, or for one of them")
    for key, name in {**{f"files.{modality}": name for modality, name in files.items()}, "truth": truth}.items():
        if not isinstance(name, str | None):
            raise ValueError(f"{key}={name} must be a file name, or null")
    if not isinstance(labels, str):
        raise ValueError(f"labels={labels} must be a file name")
    check_class_names(classes)
    if s2_offset is not None and (isinstance(s2_offset, bool) or not isinstance(s2_offset, int) or s2_offset < 0):
        raise ValueError(f"s2_offset={s2_offset}: null, 0, or what is to be taken off the S2 values, e.g. 1000")
    if not isinstance(units, Mapping) or set(units) - set(BANDS):
        raise ValueError(f"units={units}: name the units of {' and '.join(BANDS)}")
    for modality, unit in units.items():
        check_setting(modality, unit)


def _subfolders(path: Path) -> list[str]:
    if not path.is_dir():
        raise ValueError(f"{path} is no folder: check the path" if path.exists() else absent(path))
    return sorted(child.name for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
