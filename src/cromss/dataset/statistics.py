"""Mean and standard deviation a band and class shares, gathered location by location in constant memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cromss.types import IGNORE_INDEX


class Moments:
    """Mean and variance of each band of one modality over everything added.

    Args:
        bands: Number of bands K.
    """

    def __init__(self, bands: int) -> None:
        self.pixels = 0
        self.mean = np.zeros(bands)
        self.variance = np.zeros(bands)

    def add(self, pixels: int, mean: np.ndarray, variance: np.ndarray) -> None:
        """Merges the moments of more pixels, both ``(K,)`` (Chan et al., 1979: exact, no large sums of squares)."""
        share = pixels / (self.pixels + pixels)
        shift = mean - self.mean
        self.mean = self.mean + share * shift
        self.variance = (1 - share) * self.variance + share * variance + share * (1 - share) * shift**2
        self.pixels += pixels

    def as_dict(self) -> dict[str, Any]:
        """``mean`` and ``std`` a band in stored units, and the number of ``pixels`` behind them."""
        return {"mean": self.mean.tolist(), "std": np.sqrt(self.variance).tolist(), "pixels": self.pixels}


def moments_of(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each band of ``(T, K, H, W)``, finite, each float64 ``(K,)``.

    No matrix product: a library of those would start its threads in every process that writes a store.
    """
    over, count = (0, 2, 3), image.size // image.shape[1]
    if image.dtype == np.uint8:
        # Whole numbers are exact, and take a quarter of the time.
        squares = image.astype(np.uint16)
        squares *= squares
        mean = image.sum((2, 3), dtype=np.uint32).sum(0, dtype=np.uint64) / count
        square = squares.sum((2, 3), dtype=np.uint64).sum(0) / count
    else:
        values = image.astype(np.float64)
        mean = values.mean(over)
        square = np.square(values).mean(over)
    return mean, (square - mean**2).clip(min=0)


class Statistics:
    """What a store says about its values.

    Args:
        bands: Modality -> number of bands.
        num_classes: Number of classes C.
    """

    def __init__(self, bands: Mapping[str, int], num_classes: int) -> None:
        self.moments = {modality: Moments(number) for modality, number in bands.items()}
        self.label_counts = np.zeros(IGNORE_INDEX + 1, dtype=np.int64)
        self.num_classes = num_classes

    def add(self, images: Mapping[str, np.ndarray], labels: np.ndarray) -> None:
        """Adds one location: images ``(T, K, H, W)`` and labels ``(T, H, W)``."""
        for modality, image in images.items():
            mean, variance = moments_of(image)
            self.moments[modality].add(image.size // image.shape[1], mean, variance)
        self.label_counts += np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)

    def merge(self, stored: Mapping[str, Any]) -> None:
        """Adds what `as_dict` returned for other locations."""
        for modality, moments in self.moments.items():
            other = stored[modality]
            moments.add(other["pixels"], np.array(other["mean"]), np.square(other["std"]))
        self.label_counts[: self.num_classes] += np.array(stored["labels"]["pixels"])
        self.label_counts[IGNORE_INDEX] += stored["labels"]["unlabelled_pixels"]

    def as_dict(self) -> dict[str, Any]:
        """Modality -> `Moments.as_dict`; ``labels`` -> pixels and share a class, and pixels without a label.

        Shares are those of the labelled pixels and add up to 1, or are all 0 where nothing is labelled.
        """
        counts = self.label_counts[: self.num_classes]
        labels = {
            "pixels": counts.tolist(),
            "shares": (counts / max(1, counts.sum())).tolist(),
            "unlabelled_pixels": int(self.label_counts[IGNORE_INDEX]),
        }
        return {**{modality: moments.as_dict() for modality, moments in self.moments.items()}, "labels": labels}


def combine(parts: Sequence[Mapping[str, Any]], bands: Mapping[str, int], num_classes: int) -> dict[str, Any]:
    """The statistics of several shards as one.

    Args:
        parts: What `Statistics.as_dict` returned for each.
        bands: Modality -> number of bands.
        num_classes: Number of classes C.
    """
    whole = Statistics(bands, num_classes)
    for part in parts:
        whole.merge(part)
    return whole.as_dict()
