"""A dataset whose exact labels are the labels to learn from: a downstream task made of synthetic locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cromss.dataset.reader import LocationReader


class ExactLabels(LocationReader):
    """Hands out another reader's exact labels as its only ones.

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
