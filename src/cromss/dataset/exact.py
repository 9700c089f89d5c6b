"""A dataset whose exact labels are the labels to learn from: a downstream task made of synthetic locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cromss.dataset.reader import DatasetInfo, LocationReader


class ExactLabels:
    """A `cromss.dataset.reader.LocationReader` that hands out another reader's exact labels as its only ones.

    Args:
        reader: Source of locations that has exact labels.

    Raises:
        ValueError: It has none.
    """

    def __init__(self, reader: LocationReader) -> None:
        if not reader.info.has_truth:
            raise ValueError("this dataset holds no exact labels beside the noisy ones")
        self._reader = reader
        self.info: DatasetInfo = replace(reader.info, has_truth=False)

    def __len__(self) -> int:
        """Number of locations."""
        return len(self._reader)

    def location_id(self, index: int) -> str:
        """The name of a location in its source."""
        return self._reader.location_id(index)

    def grid(self, index: int) -> Mapping[str, Any] | None:
        """Where a location lies; see `cromss.dataset.reader.LocationReader`."""
        return self._reader.grid(index)

    def read_images(
        self,
        index: int,
        season: int,
        modality: str,
        bands: Sequence[int] | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """Reads one season of one modality; see `cromss.dataset.reader.LocationReader`."""
        return self._reader.read_images(index, season, modality, bands, out)

    def read_labels(self, index: int) -> np.ndarray:
        """Exact labels of all seasons, uint8 ``(T, H, W)``."""
        return self._reader.read_truth(index)

    def read_truth(self, index: int) -> np.ndarray:
        """Raises ValueError: they are the labels."""
        raise ValueError("the labels of this dataset are exact: there are no others beside them")
