"""Counters of `cromss.prepare.stats`, updated per location; their memory does not grow with the number of locations."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Any

import numpy as np
from rasterio.transform import array_bounds
from rasterio.warp import transform as transform_points

from cromss.dataset.bands import BANDS
from cromss.dataset.statistics import Moments, moments_of
from cromss.types import IGNORE_INDEX


class BandTally:
    """Moments, range, and share of NaN and of zero pixels of one band.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        name: The band's name.
        quantised: Whether its values are `cromss.dataset.scaling.quantise` output.
    """

    def __init__(self, modality: str, name: str, quantised: bool) -> None:
        self.name = name
        self.quantised = quantised
        self.published = {band.name: band for band in BANDS[modality]}.get(name)
        self.moments = Moments(1)
        self.pixels = self.missing = self.zeros = 0
        self.low, self.high = np.inf, -np.inf

    def add(self, plane: np.ndarray) -> None:
        """Adds pixels of any shape; those that are NaN or infinite are counted and left out of all else."""
        finite = (plane.ravel() if plane.dtype.kind in "ui" else plane[np.isfinite(plane)]).astype(np.float64)
        self.pixels += plane.size
        self.missing += plane.size - finite.size
        self.zeros += finite.size - int(np.count_nonzero(finite))
        if finite.size:
            self.moments.add(finite.size, *moments_of(finite.reshape(1, 1, 1, -1)))
            self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))

    def as_dict(self) -> dict[str, Any]:
        """``mean``, ``std``, ``min`` and ``max`` in stored units, None where no pixel is finite, and more.

        ``raw_mean`` and ``raw_std`` are in dB (S1) or reflectance x 10000 (S2); for quantised values by the lower end
        of each step, as in `cromss.dataset.scaling.reflectance`, and None where the band's published statistics, by
        which it was quantised, are not known. ``published_mean`` and ``published_std`` are those, in raw units.
        """
        known, band = self.moments.pixels > 0, self.published
        found: dict[str, Any] = dict.fromkeys(("mean", "std", "min", "max", "raw_mean", "raw_std"))
        if known:
            mean, std = float(self.moments.mean[0]), float(self.moments.variance[0] ** 0.5)
            found |= {"mean": mean, "std": std, "min": self.low, "max": self.high}
            if not self.quantised:
                found |= {"raw_mean": mean, "raw_std": std}
            elif band is not None:
                step = (band.high - band.low) / 255
                found |= {"raw_mean": band.low + mean * step, "raw_std": std * step}
        return {
            "name": self.name,
            **found,
            "published_mean": None if band is None else band.mean,
            "published_std": None if band is None else band.std,
            "nan_share": self.missing / max(1, self.pixels),
            "zero_share": self.zeros / max(1, self.pixels),
        }


class NoiseTally:
    """How often labels and exact labels differ.

    Args:
        num_classes: Number of classes C.
    """

    def __init__(self, num_classes: int) -> None:
        self.confusion = np.zeros((num_classes, num_classes), dtype=np.int64)

    def add(self, labels: np.ndarray, truth: np.ndarray) -> None:
        """Adds pixels, uint8 of the same shape; pixels without label in either do not count."""
        both = (labels != IGNORE_INDEX) & (truth != IGNORE_INDEX)
        number = len(self.confusion)
        pairs = truth[both].astype(np.int64) * number + labels[both]
        self.confusion += np.bincount(pairs, minlength=number**2).reshape(number, number)

    def as_dict(self) -> dict[str, Any]:
        """``share`` of wrong pixels among all, ``by_label`` among those with a label, ``by_truth`` of a true class.

        ``confusion`` counts pixels, rows by true class, columns by label. Shares lie in [0, 1]; 0 where nothing counts.
        """
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        return {
            "share": float(wrong.sum() / max(1, self.confusion.sum())),
            "by_label": (wrong.sum(0) / self.confusion.sum(0).clip(min=1)).tolist(),
            "by_truth": (wrong.sum(1) / self.confusion.sum(1).clip(min=1)).tolist(),
            "confusion": self.confusion.tolist(),
        }


class Examples:
    """The locations where a class has most pixels.

    Args:
        num_classes: Number of classes.
        most: How many to keep per class.
    """

    def __init__(self, num_classes: int, most: int) -> None:
        self.most = most
        self._best: list[list[tuple[int, int, int]]] = [[] for _ in range(num_classes)]

    def add(self, index: int, labels: np.ndarray) -> None:
        """Adds a location, labels ``(T, H, W)``: per class the season with most pixels of it."""
        counts = np.stack([np.bincount(season.ravel(), minlength=IGNORE_INDEX + 1) for season in labels])
        for number, best in enumerate(self._best):
            season = int(counts[:, number].argmax())
            # Of locations with equal counts the first is kept.
            heapq.heappush(best, (int(counts[season, number]), -index, season))
            if len(best) > self.most or best[0][0] == 0:
                heapq.heappop(best)

    def found(self) -> list[list[tuple[int, int]]]:
        """Per class ``(location, season)``, the one with most pixels first."""
        return [[(-index, season) for _, index, season in sorted(best, reverse=True)] for best in self._best]


class MapTally:
    """How many locations lie in each degree of longitude and latitude."""

    def __init__(self) -> None:
        self._counts = np.zeros((360, 180), dtype=np.int64)

    def add(self, grid: Mapping[str, Any] | None, size: tuple[int, int]) -> None:
        """Adds the centre of a patch of ``(H, W)`` pixels; nothing where its grid is not known."""
        if grid is None:
            return
        left, bottom, right, top = array_bounds(*size, grid["transform"])
        lon, lat, *_ = transform_points(grid["crs"], "EPSG:4326", [(left + right) / 2], [(bottom + top) / 2])
        if np.isfinite((lon[0], lat[0])).all():
            self._counts[int(lon[0] // 1 + 180) % 360, min(max(int(lat[0] // 1 + 90), 0), 179)] += 1

    def as_list(self) -> list[list[float]]:
        """``[lon, lat, locations]`` of each degree that holds any, in degrees, at its centre."""
        return [[x - 179.5, y - 89.5, int(self._counts[x, y])] for x, y in np.argwhere(self._counts).tolist()]
