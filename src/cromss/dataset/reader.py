"""What every source of locations offers, whatever lies on disk: the one interface that datasets are built on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class ModalityInfo:
    """One modality as it lies on disk.

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
    """What is true of all locations of a dataset.

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


class LocationReader(Protocol):
    """Random access to locations by index. Implementations are picklable and open their files lazily per process."""

    @property
    def info(self) -> DatasetInfo:
        """What is true of all locations."""
        ...

    def __len__(self) -> int:
        """Number of locations."""
        ...

    def location_id(self, index: int) -> str:
        """The name of a location in its source, e.g. ``"0097132"``."""
        ...

    def grid(self, index: int) -> Mapping[str, Any] | None:
        """Where a location lies, as rasterio's ``crs`` and ``transform``; None where that is not known."""
        ...

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
            out: Where to write, ``(K, H, W)`` of the stored dtype: saves a copy when a batch is assembled.

        Returns:
            ``(K, H, W)`` of the stored dtype: `out` where given, else a new writable array.

        Raises:
            ValueError: The value is damaged or absent; the message names location, modality and season.
        """
        ...

    def read_labels(self, index: int) -> np.ndarray:
        """Noisy labels of all seasons, uint8 ``(T, H, W)``: a class from 0, or 255 where there is none."""
        ...

    def read_truth(self, index: int) -> np.ndarray:
        """Exact labels of all seasons, uint8 ``(T, H, W)``; ValueError where the dataset has none."""
        ...
