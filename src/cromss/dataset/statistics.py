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
            planes = [image[:, band].astype(np.float64).ravel() for band in range(image.shape[1])]
            mean = np.array([plane.mean() for plane in planes])
            variance = np.array([plane @ plane / plane.size for plane in planes]) - mean**2
            self.moments[modality].add(planes[0].size, mean, variance.clip(min=0))
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
