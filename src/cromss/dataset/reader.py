"""The base class of all sources of locations, whatever their format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class ModalityInfo:
    """One modality as it is stored.

    Attributes:
        bands: Band names in stored order, e.g. ``("VV", "VH")``.
        dtype: ``"uint8"``, ``"uint16"``, ``"float32"`` or ``"float64"``.
        quantised: True when the values are `cromss.dataset.quantise` output (uint8); False for raw units, which are
            dB for S1 and reflectance x 10000 for S2.
    """

    bands: tuple[str, ...]
    dtype: str
    quantised: bool


@dataclass(frozen=True)
class DatasetInfo:
    """The properties that all locations of a dataset share.

    Attributes:
        modalities: Modality name -> how it is stored; the key order is ``s1`` before ``s2``.
        classes: Class names; label value ``c`` means ``classes[c]``.
        seasons: Number of seasons T of every location.
        size: ``(H, W)`` of every patch in pixels.
        has_truth: True when exact labels lie beside the noisy ones (synthetic data).
        statistics: Optional facts about the values, e.g. ``{"s2": {"mean": [...], "std": [...]}}``.
    """

    modalities: Mapping[str, ModalityInfo]
    classes: tuple[str, ...]
    seasons: int
    size: tuple[int, int]
    has_truth: bool = False
    statistics: Mapping[str, Any] = field(default_factory=dict)


class LocationReader(ABC):
    """Random access to locations by index.

    The public methods check what is asked for, once for all sources; a source implements `__len__`, `_id`, `_fill` and
    `_labels`, and `_truth` and `_grid` where it has these. Implementations are picklable and open their files lazily
    in every process.

    Attributes:
        info: Properties of all locations.
        name: Name of the source in messages, such as its path.
    """

    info: DatasetInfo
    name: Path | str

    @abstractmethod
    def __len__(self) -> int:
        """Number of locations."""

    def location_id(self, index: int) -> str:
        """The name of a location in its source, e.g. ``"0097132"``."""
        return self._id(self._checked(index))

    def grid(self, index: int) -> Mapping[str, Any] | None:
        """The grid of a location, as ``crs`` and ``transform`` of rasterio; None where it is not known."""
        return self._grid(self._checked(index))

    def read_images(
        self,
        index: int,
        season: int,
        modality: str,
        bands: Sequence[int] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Reads one season of one modality and touches nothing else.

        Args:
            index: Location, ``0 <= index < len(self)``.
            season: ``0 <= season < T``.
            modality: ``"s1"`` or ``"s2"``.
            bands: Positions of the wanted bands in the stored order; None reads all.
            out: The array to write into, ``(K, H, W)`` of the stored dtype: saves a copy when a batch is assembled.

        Returns:
            ``(K, H, W)`` of the stored dtype: `out` where given, else a new writable array.

        Raises:
            IndexError: There is no such location.
            ValueError: There is no such season, modality or band, `out` has another shape or type, or the value is
                damaged or absent; the message names location, modality and season.
        """
        self._checked(index)
        stored = self.info.modalities.get(modality)
        if stored is None:
            raise ValueError(f"{self.name} has no modality {modality!r}: it holds {', '.join(self.info.modalities)}")
        if not 0 <= season < self.info.seasons:
            raise ValueError(f"{self.name} has no season {season}: it holds {self.info.seasons}, numbered from 0")
        count = len(stored.bands)
        if bands is not None and not all(0 <= band < count for band in bands):
            raise ValueError(f"{modality} bands {list(bands)}: {self.name} holds positions 0..{count - 1}")
        positions = range(count) if bands is None else list(bands)
        wanted = (len(positions), *self.info.size)
        if out is None:
            out = np.empty(wanted, stored.dtype)
        elif out.shape != wanted or out.dtype != stored.dtype:
            raise ValueError(f"out is {out.dtype} {out.shape}: {modality} needs {stored.dtype} {wanted}")
        self._fill(out, index, season, modality, positions)
        return out

    def read_labels(self, index: int) -> np.ndarray:
        """Labels of all seasons, uint8 ``(T, H, W)``, writable: a class from 0, or 255 where there is none."""
        return self._labels(self._checked(index))

    def read_truth(self, index: int) -> np.ndarray:
        """Exact labels of all seasons beside the noisy ones, like them; ValueError where the dataset has none."""
        if not self.info.has_truth:
            raise ValueError(f"{self.name} holds no exact labels beside those that `read_labels` gives")
        return self._truth(self._checked(index))

    @abstractmethod
    def _id(self, index: int) -> str:
        """The name of a location."""

    @abstractmethod
    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        """Writes the bands at these positions into `out`; a range stands for all of them."""

    @abstractmethod
    def _labels(self, index: int) -> np.ndarray:
        """The labels, an array that the caller may change."""

    def _truth(self, index: int) -> np.ndarray:
        """The exact labels, likewise; asked for only where `info` says that there are any."""
        raise NotImplementedError

    def _grid(self, index: int) -> Mapping[str, Any] | None:
        return None

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"location {index} of {len(self)} in {self.name}")
        return index


class ExactLabels(LocationReader):
    """Reads the exact labels of another reader as the only labels.

    Args:
        reader: Source of locations that has exact labels.

    Raises:
        ValueError: It has none.
    """

    def __init__(self, reader: LocationReader) -> None:
        if not reader.info.has_truth:
            raise ValueError("this dataset holds no exact labels beside the noisy ones")
        self._reader = reader
        self.name = reader.name
        self.info = replace(reader.info, has_truth=False)

    def __len__(self) -> int:
        """Number of locations."""
        return len(self._reader)

    def _id(self, index: int) -> str:
        return self._reader.location_id(index)

    def _grid(self, index: int) -> Mapping[str, Any] | None:
        return self._reader.grid(index)

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        self._reader.read_images(index, season, modality, bands, out)

    def _labels(self, index: int) -> np.ndarray:
        return self._reader.read_truth(index)
