"""A scene of one or two modalities on one grid, read window by window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from cromss.dataset.bands import select_bands
from cromss.dataset.geotiff import Header

_SQUARE = 512
"""Pixels a side that a picture of a scene is read by: what files are usually tiled in."""


class Patch(NamedTuple):
    """What lies in a window: modality -> ``(K, h, w)`` in stored units, and ``(h, w)``, where all of it is known."""

    images: dict[str, np.ndarray]
    valid: np.ndarray


@dataclass(frozen=True)
class Layer:
    """One modality of a scene.

    Attributes:
        modality: ``"s1"`` or ``"s2"``.
        bands: Positions in `BANDS`, in the order in which they are read.
        sources: An opened raster, the numbers of its bands to read, and where these go.
        offset: Taken off the values.
    """

    modality: str
    bands: tuple[int, ...]
    sources: tuple[tuple[Any, list[int], list[int]], ...]
    offset: int

    @property
    def dtype(self) -> np.dtype:
        """Type of the values."""
        return np.result_type(*(source.dtypes[0] for source, _, _ in self.sources))

    @property
    def quantised(self) -> bool:
        """Whether the values are `cromss.dataset.quantise` output."""
        return self.dtype == np.uint8

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Reads a window; unknown pixels hold the mean of their band.

        Returns:
            ``(K, h, w)``, and ``(h, w)``, which is False where a band has no value: NaN, what the file declares as
            such, or 0 in all bands of S2 that are not resampled.

        Raises:
            ValueError: A file is damaged there.
        """
        image = np.empty((len(self.bands), window.height, window.width), self.dtype)
        known = np.ones((window.height, window.width), bool)
        for source, numbers, positions in self.sources:
            try:
                read = source.read(numbers, window=window)
                if MaskFlags.per_dataset in source.mask_flag_enums[0]:
                    known &= source.dataset_mask(window=window) > 0
                elif alphas := alpha_bands(source):
                    # GDAL takes an alpha band for a mask in files of two or four bands alone.
                    known &= source.read(alphas[0] + 1, window=window) > 0
            except RasterioError as error:
                raise ValueError(f"{source.name} cannot be read at {window}: it is truncated or damaged") from error
            if source.nodata is not None and not np.isnan(source.nodata):
                known &= (read != source.nodata).all(axis=0)
            image[positions] = read
        if image.dtype.kind == "f":
            known &= np.isfinite(image).all(axis=0)
        if self.modality == "s2":
            # Resampled bands reach a few pixels beyond what the finest ones saw.
            finest = [p for source, _, at in self.sources if not isinstance(source, WarpedVRT) for p in at]
            known &= (image[finest] if finest else image).any(axis=0)
        if self.offset:
            image = np.maximum(image, self.offset) - image.dtype.type(self.offset)
        if not known.all():
            for plane, band in zip(image, select_bands(self.modality, self.bands), strict=True):
                plane[~known] = 127 if self.quantised else band.mean
        return image, known


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


def alpha_bands(source: Any) -> list[int]:
    """Positions of bands that say which pixels are known, as `gdalwarp -dstalpha` writes them; a named band is data."""
    told = zip(source.colorinterp, source.descriptions, strict=True)
    return [number for number, (meaning, name) in enumerate(told) if meaning == ColorInterp.alpha and not name]


def _joined(patches: Sequence[Patch], axis: int) -> Patch:
    images = {m: np.concatenate([patch.images[m] for patch in patches], axis) for m in patches[0].images}
    return Patch(images, np.concatenate([patch.valid for patch in patches], axis))
