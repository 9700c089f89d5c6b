"""Mean and standard deviation per band and shares of classes, added up per location in constant memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import Field

from cromss.dataset.reader import DatasetInfo
from cromss.io.plain import Record, parse
from cromss.types import IGNORE_INDEX

_Stored = TypeVar("_Stored", bound=Record)
_Pixels = Annotated[int, Field(ge=0, le=2**53)]


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
        """``mean`` and ``std`` per band in stored units, and their number of ``pixels``."""
        return {"mean": self.mean.tolist(), "std": np.sqrt(self.variance).tolist(), "pixels": self.pixels}


def moments_of(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each band of ``(T, K, H, W)``, finite, each float64 ``(K,)``.

    Without a matrix product: its library would start threads in every process that writes a store.
    """
    over, count = (0, 2, 3), image.size // image.shape[1]
    if image.dtype == np.uint8:
        # Integers are exact and take a quarter of the time.
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
    """Statistics of the values of a store.

    Args:
        bands: Modality -> number of bands.
        num_classes: Number of classes C.
    """

    def __init__(self, bands: Mapping[str, int], num_classes: int) -> None:
        self.moments = {modality: Moments(number) for modality, number in bands.items()}
        self.label_counts = np.zeros(IGNORE_INDEX + 1, dtype=np.int64)
        self.num_classes = num_classes

    def add(self, images: Mapping[str, np.ndarray], labels: np.ndarray | None = None) -> None:
        """Adds images ``(T, K, H, W)`` and labels ``(T, H, W)`` of one location, or a part of them."""
        for modality, image in images.items():
            self.moments[modality].add(image.size // image.shape[1], *moments_of(image))
        if labels is not None:
            self.label_counts += np.bincount(labels.ravel(), minlength=IGNORE_INDEX + 1)

    def as_dict(self) -> dict[str, Any]:
        """Modality -> `Moments.as_dict`; ``labels`` -> pixels and share per class, and pixels without a label.

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
        for modality, moments in whole.moments.items():
            stored = part[modality]
            moments.add(stored["pixels"], np.array(stored["mean"]), np.square(stored["std"]))
        whole.label_counts[:num_classes] += np.array(part["labels"]["pixels"])
        whole.label_counts[IGNORE_INDEX] += part["labels"]["unlabelled_pixels"]
    return whole.as_dict()


class _StoredMoments(Record):
    """What `Moments.as_dict` makes; the bounds keep sums of squares finite."""

    mean: list[Annotated[float, Field(ge=-1e100, le=1e100)]]
    std: list[Annotated[float, Field(ge=0, le=1e100)]]
    pixels: _Pixels


class _StoredLabels(Record):
    """What `Statistics.as_dict` makes of labels."""

    pixels: list[_Pixels]
    shares: list[Annotated[float, Field(ge=0, le=1)]]
    unlabelled_pixels: _Pixels


def check_statistics(info: DatasetInfo, locations: int) -> None:
    """Checks that the statistics in a file are those of as many values as the file holds.

    Args:
        info: What the file describes; its `statistics` may hold more beside those of modalities and labels.
        locations: Number of locations.

    Raises:
        ValueError: A number is missing, of another type, or contradicts the description.
    """
    kept = info.statistics
    pixels = locations * info.seasons * prod(info.size)
    for modality, stored in info.modalities.items():
        moments = _parsed(_StoredMoments, kept, modality)
        if {len(moments.mean), len(moments.std)} != {len(stored.bands)} or moments.pixels != pixels:
            raise ValueError(
                f"statistics.{modality} are those of {len(moments.mean)} bands and {moments.pixels} pixels: it holds "
                f"{len(stored.bands)} bands and {pixels} pixels"
            )
    labels = _parsed(_StoredLabels, kept, "labels")
    counted = sum(labels.pixels) + labels.unlabelled_pixels
    if {len(labels.pixels), len(labels.shares)} != {len(info.classes)} or counted != pixels:
        raise ValueError(
            f"statistics.labels are those of {len(labels.pixels)} classes and {counted} pixels: it holds "
            f"{len(info.classes)} classes and {pixels} pixels"
        )


def _parsed(record: type[_Stored], statistics: Mapping[str, Any], name: str) -> _Stored:
    try:
        return parse(record, statistics.get(name))
    except ValueError as error:
        raise ValueError(f"statistics.{name}: {error}") from error
