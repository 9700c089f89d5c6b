"""Reads folders of GeoTIFFs as they are: a folder a location, and inside a folder a season where there are several."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cromss.class_names import check_class_names
from cromss.dataset.bands import BANDS
from cromss.dataset.checks import DTYPES, check_labels
from cromss.dataset.geotiff import Header, grid_difference, header_of, opened
from cromss.dataset.reader import DatasetInfo, ModalityInfo

_MOST_PROBLEMS = 20


class FolderReader:
    """A `cromss.dataset.reader.LocationReader` over ``path/<location>[/<season>]/<file>``, in the order of the names.

    The constructor looks at the header of every file, about 1 ms each, and reports all that is wrong at once. Pixels
    are read when asked for and not kept. uint8 images count as quantised, all others as raw units.

    Args:
        path: The folder of the locations. Names that start with a dot and files are passed over.
        files: Modality (``s1``, ``s2``) -> file name.
        labels: File name of the noisy labels: a class from 0, or 255 where there is none.
        truth: File name of exact labels like `labels`, or None.
        classes: Class names.
        s2_offset: Taken off the S2 values, which do not fall below 0: 1000 for products of processing baseline 04.00
            and newer that still carry it, else 0.

    Raises:
        ValueError: A setting is not allowed, a folder or file is absent or unreadable, files of a place differ in grid,
            places differ in size, seasons or type, or bands cannot be told.
    """

    def __init__(
        self,
        path: str | Path,
        files: Mapping[str, str],
        labels: str,
        truth: str | None,
        classes: Sequence[str],
        s2_offset: int,
    ) -> None:
        _check_settings(files, labels, truth, classes, s2_offset)
        # A folder named 2020 comes from the command line as a number.
        self.path = Path(str(path)).expanduser()
        self._files = {name: files[name] for name in BANDS if files.get(name) is not None}
        self._labels = labels
        self._truth = truth
        self._s2_offset = s2_offset
        self._places = _subfolders(self.path)
        if not self._places:
            raise ValueError(f"{path} holds no folders: a folder a location is needed, with {', '.join(self._names())}")
        self._seasons = self._find_seasons()
        self.info = self._check_headers(tuple(classes))

    def __len__(self) -> int:
        """Number of locations."""
        return len(self._places)

    def location_id(self, index: int) -> str:
        """The name of the location's folder."""
        return self._places[index]

    def grid(self, index: int) -> Mapping[str, Any] | None:
        """Where a location lies; see `cromss.dataset.reader.LocationReader`."""
        with opened(self._folders(index)[0] / self._labels) as source:
            return {"crs": source.crs, "transform": source.transform} if source.crs else None

    def read_images(
        self,
        index: int,
        season: int,
        modality: str,
        bands: Sequence[int] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Reads one season of one modality; see `cromss.dataset.reader.LocationReader`."""
        if modality not in self.info.modalities:
            raise ValueError(f"no modality {modality!r}: there are {', '.join(self.info.modalities)}")
        stored = self.info.modalities[modality]
        wanted = range(len(stored.bands)) if bands is None else bands
        file = self._folders(index)[season] / self._files[modality]
        with opened(file) as source:
            image = source.read([band + 1 for band in wanted])
        if image.dtype.kind == "f" and not np.isfinite(image).all():
            band = np.argwhere(~np.isfinite(image))[0][0]
            raise ValueError(
                f"{file}: band {stored.bands[wanted[band]]} holds NaN or infinite pixels; fill them or remove the place"
            )
        if modality == "s2" and self._s2_offset:
            image = np.maximum(image, self._s2_offset) - image.dtype.type(self._s2_offset)
        if out is None:
            return image
        out[...] = image
        return out

    def read_labels(self, index: int) -> np.ndarray:
        """Noisy labels of all seasons, uint8 ``(T, H, W)``: a class from 0, or 255 where there is none."""
        return self._read_labels(index, self._labels)

    def read_truth(self, index: int) -> np.ndarray:
        """Exact labels of all seasons, uint8 ``(T, H, W)``; ValueError where no file was named for them."""
        if self._truth is None:
            raise ValueError(f"no file of exact labels was named for {self.path}: set truth")
        return self._read_labels(index, self._truth)

    def _read_labels(self, index: int, name: str) -> np.ndarray:
        seasons = []
        for folder in self._folders(index):
            with opened(folder / name) as source:
                labels = source.read(1)
            check_labels(str(folder / name), labels, len(self.info.classes))
            seasons.append(labels.astype(np.uint8))
        return np.stack(seasons)

    def _names(self) -> list[str]:
        return [*self._files.values(), self._labels, *([self._truth] if self._truth else [])]

    def _folders(self, index: int) -> list[Path]:
        place = self.path / self._places[index]
        return [place / season for season in _subfolders(place)] if self._seasons else [place]

    def _find_seasons(self) -> int:
        """Number of season folders in a place, 0 where the files lie in the place's own folder."""
        first = self.path / self._places[0]
        return 0 if any((first / name).exists() for name in self._names()) else len(_subfolders(first))

    def _check_headers(self, classes: tuple[str, ...]) -> DatasetInfo:
        """Compares every file with those beside it and with the first place; the description all agree on."""
        problems: list[str] = []
        first: dict[str, Header] = {}
        for index in range(len(self)):
            folders = self._folders(index)
            if self._seasons and len(folders) != self._seasons:
                problems.append(
                    f"{self.path / self._places[index]} holds {len(folders)} seasons, {self._places[0]} {self._seasons}"
                )
            for folder in folders:
                problems += self._problems(folder, first)
        if not problems:
            problems += self._unusable(first)
        if problems:
            shown = "\n  ".join(problems[:_MOST_PROBLEMS])
            more = f"\n  … and {len(problems) - _MOST_PROBLEMS} more" if len(problems) > _MOST_PROBLEMS else ""
            cure = ""
            if any(problem.endswith("is missing") for problem in problems):
                cure = "\n  Files of other names (capitals count) are told by the settings files, labels and truth"
            raise ValueError(f"{self.path} cannot be read as a folder of locations:\n  {shown}{more}{cure}")
        return DatasetInfo(
            modalities={
                modality: ModalityInfo(
                    band_names_of(modality, first[name]), first[name].dtype, first[name].dtype == "uint8"
                )
                for modality, name in self._files.items()
            },
            classes=classes,
            seasons=self._seasons or 1,
            size=first[self._labels].size,
            has_truth=self._truth is not None,
        )

    def _problems(self, folder: Path, first: dict[str, Header]) -> Iterator[str]:
        """What is wrong in one folder; `first` takes up the headers of the first files seen."""
        beside: tuple[str, Header] | None = None
        for name in self._names():
            file = folder / name
            try:
                with opened(file) as source:
                    header = header_of(source)
            except ValueError as error:
                yield str(error)
                continue
            expected = first.setdefault(name, header)
            for what in ("bands", "dtype", "size", "names"):
                ours, theirs = getattr(header, what), getattr(expected, what)
                if ours != theirs:
                    yield f"{file}: {what} {ours}, but {theirs} in the first place; all have to agree"
            beside = beside or (name, header)
            if difference := grid_difference(header, beside[1]):
                yield f"{file} and {beside[0]} beside it differ in {difference}: bring them to one grid"

    def _unusable(self, first: Mapping[str, Header]) -> Iterator[str]:
        """What all places agree on and this project cannot use."""
        for modality, name in self._files.items():
            header = first[name]
            if header.dtype not in DTYPES:
                yield f"{name} is {header.dtype}: {modality} images are {', '.join(DTYPES)}"
            if not band_names_of(modality, header):
                known = [band.name for band in BANDS[modality]]
                yield (
                    f"{name} has {header.bands} bands described as {header.names}: {modality} has {len(known)} "
                    f"({' '.join(known)}); a selection of them, or another order, has to carry these names as band "
                    "descriptions"
                )
        for name in self._names()[len(self._files) :]:
            if first[name].bands != 1 or np.dtype(first[name].dtype).kind not in "ui":
                yield f"{name} has {first[name].bands} bands of {first[name].dtype}: labels are one band of integers"
        if self._s2_offset and "s2" in self._files and first[self._files["s2"]].dtype == "uint8":
            yield f"s2_offset={self._s2_offset} is meant for raw units and {self._files['s2']} is uint8: set it to 0"


def _check_settings(files: Any, labels: Any, truth: Any, classes: Any, s2_offset: Any) -> None:
    if not isinstance(files, Mapping) or set(files) - set(BANDS) or not any(files.values()):
        raise ValueError(f"files={files}: name a file for {' and '.join(BANDS)}, or for one of them")
    for key, name in {**{f"files.{modality}": name for modality, name in files.items()}, "truth": truth}.items():
        if not isinstance(name, str | None):
            raise ValueError(f"{key}={name} must be a file name, or null")
    if not isinstance(labels, str):
        raise ValueError(f"labels={labels} must be a file name")
    check_class_names(classes)
    if not isinstance(s2_offset, int) or s2_offset < 0:
        raise ValueError(f"s2_offset={s2_offset}: 0, or what is to be taken off the S2 values, e.g. 1000")


def _subfolders(path: Path) -> list[str]:
    if not path.is_dir():
        raise ValueError(f"{path} {'is no folder' if path.exists() else 'does not exist'}: check the path")
    return sorted(child.name for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))


def band_names_of(modality: str, header: Header) -> tuple[str, ...]:
    """Names of the bands in file order, from their descriptions or from their number; empty where neither tells."""
    known = [band.name for band in BANDS[modality]]
    # B04 and b4 are common for B4.
    told = [re.sub("^B0", "B", (name or "").upper()) for name in header.names]
    if set(told) <= set(known) and len(set(told)) == header.bands:
        return tuple(told)
    # One name that is known speaks against the usual order: another band stands among them.
    return tuple(known) if header.bands == len(known) and set(told).isdisjoint(known) else ()
