"""A scene of one or two modalities on one grid, read window by window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio.windows import Window

from cromss.dataset.bands import select_bands
from cromss.dataset.geotiff import Header
from cromss.dataset.imagery.image import Image

_SQUARE = 512
"""Pixels per side of the squares in which a scene is read for a picture: the usual tiles of files."""


class Patch(NamedTuple):
    """What lies in a window: modality -> ``(K, h, w)`` in stored units, and ``(h, w)``, where all of it is known."""

    images: dict[str, np.ndarray]
    valid: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One modality of a scene.

    Attributes:
        image: All bands of the modality, on the grid of the scene.
        bands: Positions in `BANDS` of the bands to read, in the order in which they are read.

    Raises:
        ValueError: The image has no such band.
    """

    image: Image
    bands: tuple[int, ...]

    def __post_init__(self) -> None:
        """Looks for the bands."""
        if missing := [name for name in self.names if name not in self.image.bands]:
            raise ValueError(
                f"{self.image.path} has no {', '.join(missing)}, which the network sees; it holds "
                f"{', '.join(self.image.bands)}: give a scene with all of them, or a network that was trained without"
            )

    @property
    def modality(self) -> str:
        """``"s1"`` or ``"s2"``."""
        return self.image.modality

    @property
    def names(self) -> tuple[str, ...]:
        """Published names of `bands`."""
        return tuple(band.name for band in select_bands(self.modality, self.bands))

    @property
    def sources(self) -> list[tuple[Any, list[int]]]:
        """Each opened raster that is read, and the numbers of its bands."""
        wanted = [
            (
                raster.source,
                [index for index, name in zip(raster.indexes, raster.names, strict=True) if name in self.names],
            )
            for raster in self.image.rasters
        ]
        return [(source, indexes) for source, indexes in wanted if indexes]

    @property
    def quantised(self) -> bool:
        """Whether the values are `cromss.dataset.quantise` output."""
        return self.image.quantised

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Reads a window: ``(K, h, w)``, and bool ``(h, w)``, where it is known; see `Image.read`."""
        return self.image.read(window, self.names)


class Scene:
    """Modalities on one grid.

    Args:
        layers: The modalities.
        header: What the grid is.
        files: All files that are read, also those that a VRT points to.
    """

    def __init__(self, layers: Sequence[Layer], header: Header, files: Sequence[Path]) -> None:
        self.layers = tuple(layers)
        self.header = header
        self.files = tuple(files)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.header.size

    def read(self, top: int, left: int, side: int) -> Patch:
        """Reads a square window; where it reaches beyond the scene the border is repeated."""
        height, width = (min(side, size - start) for size, start in zip(self.size, (top, left), strict=True))
        beyond = ((0, side - height), (0, side - width))
        images, valid = {}, np.ones((height, width), bool)
        for layer in self.layers:
            image, known = layer.read(Window(left, top, width, height))
            images[layer.modality] = np.pad(image, ((0, 0), *beyond), mode="edge")
            valid &= known
        return Patch(images, np.pad(valid, beyond))

    def reduced(self, longest: int) -> Patch:
        """Every n-th pixel of the scene, so that its longer side has at most `longest` of them."""
        step = math.ceil(max(self.size) / longest)
        # Square by square: a decimated read of the whole goes line by line, and decodes the same blocks for each.
        side = math.ceil(_SQUARE / step) * step
        rows = []
        for top in range(0, self.size[0], side):
            squares = [self._thinned(top, left, side, step) for left in range(0, self.size[1], side)]
            rows.append(_joined(squares, axis=-1))
        return _joined(rows, axis=-2)

    def _thinned(self, top: int, left: int, side: int, step: int) -> Patch:
        height, width = (min(side, size - start) for size, start in zip(self.size, (top, left), strict=True))
        patch = self.read(top, left, side)
        rows, columns = slice(0, height, step), slice(0, width, step)
        images = {modality: image[:, rows, columns] for modality, image in patch.images.items()}
        return Patch(images, patch.valid[rows, columns])


def _joined(patches: Sequence[Patch], axis: int) -> Patch:
    images = {m: np.concatenate([patch.images[m] for patch in patches], axis) for m in patches[0].images}
    return Patch(images, np.concatenate([patch.valid for patch in patches], axis))
