"""Scores a map by exact labels on the same grid, block by block, in memory that does not grow with the scene."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rasterio.windows import Window

from cromss.dataset.checks import check_labels
from cromss.dataset.geotiff import NAMED_BY_USER, Header, grid_difference, header_of, opened
from cromss.dataset.imagery.labels import codes_of
from cromss.runs.results import MEANS
from cromss.trainer.metrics import SegmentationScores
from cromss.types import IGNORE_INDEX

_ROWS = 256
"""Rows that are checked at a time."""


class Truth:
    """Exact labels of a scene, and how well its map meets them so far.

    Args:
        path: The GeoTIFF, for messages.
        source: The same, opened.
        classes: Class names.
    """

    def __init__(self, path: Path, source: Any, classes: Sequence[str]) -> None:
        self._path, self._source, self._classes = path, source, tuple(classes)
        self._scores = SegmentationScores(len(classes))
        self._pixels = 0

    def check(self) -> None:
        """Reads all labels once; ValueError where one is no class of the network."""
        if named := self._named_otherwise():
            raise ValueError(f"truth={self._path} names {named}: give labels with the classes of the training")
        for top in range(0, self._source.height, _ROWS):
            self._read(top, 0, min(_ROWS, self._source.height - top), self._source.width)

    def add(self, top: int, left: int, classes: np.ndarray) -> None:
        """Counts a block of the map: classes ``(h, w)`` from 0, 255 where it is unknown; its first row and column."""
        labels = self._read(top, left, *classes.shape)
        labels[classes == IGNORE_INDEX] = IGNORE_INDEX
        self._pixels += classes.size
        self._scores.update(torch.from_numpy(classes)[None], torch.from_numpy(labels)[None])

    def results(self) -> dict[str, Any]:
        """Scores in [0, 1], None where no label names the class.

        Returns:
            ``oa``, ``aa``, ``miou``, ``mf1``; ``iou``, by class; ``pixels``, the number that count, and
            ``pixels_left_out``, the number of those unknown in the map or without a label.
        """
        found = self._scores.compute()
        pixels = int(found["confusion"].sum())
        return {
            **{name: _or_none(float(found[name])) for name in MEANS},
            "iou": dict(zip(self._classes, map(_or_none, found["iou"].tolist()), strict=True)),
            "pixels": pixels,
            "pixels_left_out": self._pixels - pixels,
        }

    def _read(self, top: int, left: int, height: int, width: int) -> np.ndarray:
        codes, known = codes_of(self._path, self._source, Window(left, top, width, height))
        labels = np.where(known, codes, IGNORE_INDEX)
        check_labels(f"truth={self._path}", labels, len(self._classes))
        return labels.astype(np.uint8)

    def _named_otherwise(self) -> str:
        """The first class that the tags of the file give another name than the network; empty where all agree."""
        tags = {**self._source.tags(), **self._source.tags(1)}
        for number, name in enumerate(self._classes):
            if (named := tags.get(f"CLASS_{number}", name)) != name:
                return f"class {number} {named}, and the network {name}"
        return ""


@contextmanager
def open_truth(path: Path, grid: Header, classes: Sequence[str]) -> Iterator[Truth]:
    """Opens exact labels and makes sure that a map can be scored by them.

    Args:
        path: A GeoTIFF of one band: a class from 0; 255, nodata or masked where there is none.
        grid: Of the scene.
        classes: Class names.

    Raises:
        ValueError: The file is missing or damaged, lies on another grid, or has other classes.
    """
    with opened(path, NAMED_BY_USER) as source:
        if difference := grid_difference(header_of(source), grid):
            raise ValueError(
                f"truth={path} is not on the grid of the scene, which has another {difference}: bring it there, e.g. "
                "with gdalwarp -r near"
            )
        truth = Truth(path, source, classes)
        truth.check()
        yield truth


def summary(results: dict[str, Any]) -> str:
    """The scores in one line."""
    if not results["pixels"]:
        return "no pixel of the map has a label"
    return (
        f"OA {results['oa']:.1%}, mIoU {results['miou']:.1%} over {results['pixels']:,} pixels, "
        f"{results['pixels_left_out']:,} without a label or a class"
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
