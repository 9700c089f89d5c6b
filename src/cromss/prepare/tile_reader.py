"""Reads raw GeoTIFF tiles, whole or cut into patches, in the layouts of `cromss.prepare.tile_layouts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from tqdm import tqdm

from cromss.dataset.geotiff import opened
from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.dataset.reference_formats import LABELS
from cromss.prepare.tile_files import find_tiles
from cromss.prepare.tile_layouts import TileLayout
from cromss.prepare.tile_pixels import first_readable, read_labels, read_tile
from cromss.types import IGNORE_INDEX


class TileReader(LocationReader):
    """Reads tiles of one season; a damaged tile fails when it is read.

    The constructor lists folders and opens the first tile; when cut, it reads all labels too. Values are raw units: S1
    dB, S2 reflectance x 10000. Bands come in the order of `cromss.dataset.bands.BANDS`, however they are stored.

    Args:
        path: The folder that the layout describes.
        layout: Where what lies.
        cut: Pixels on a side of the patches that a tile is cut into, side by side and in its middle; patches without a
            label are left out. None reads whole tiles.

    Attributes:
        absent: Id of a tile that lacks a part, which is no location -> what is missing.

    Raises:
        ValueError: Folders are missing, no tile is complete or readable, tiles are smaller than `cut`, or no patch has
            a label.
    """

    def __init__(self, path: str | Path, layout: TileLayout, cut: int | None) -> None:
        self.name = Path(str(path)).expanduser()
        self._tiles, self.absent = find_tiles(self.name, layout)
        bands, size = first_readable(self._tiles, layout)
        if cut is not None and cut > size:
            raise ValueError(f"cut={cut} is more than the tiles have, {size} px: cut smaller, or cut=null keeps them")
        self._layout = replace(layout, size=size)
        self._side = cut or size
        self._per_side = size // self._side
        # Published patches come from tiles padded by a pixel, 510 to 512 px, and cut from offset 1: the padding is
        # never seen. With 512 px as they are, offset 1 is the middle too.
        self._margin = size % self._side // 2
        self._cached: tuple[int, Mapping[str, np.ndarray]] | None = None
        modalities = {part: ModalityInfo(names, layout.dtypes[part], False) for part, names in bands.items()}
        self.info = DatasetInfo(modalities, layout.classes, 1, (self._side, self._side))
        self._cut = cut is not None
        self._patches = self._labelled() if self._cut else [(tile, 0, 0) for tile in range(len(self._tiles))]
        if not self._patches:
            raise ValueError(f"{path}: no pixel of {len(self._tiles)} tiles has a label: check the files of the labels")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cached": None}

    def __len__(self) -> int:
        """Number of tiles, or of patches when cut."""
        return len(self._patches)

    def _id(self, index: int) -> str:
        """The id in the names of the tile's files; when cut followed by ``_<row>_<column>`` of the patch, from 0."""
        tile, row, column = self._patches[index]
        name = self._tiles[tile].id
        return f"{name}_{row}_{column}" if self._cut else name

    def _grid(self, index: int) -> Mapping[str, Any] | None:
        tile, row, column = self._patches[index]
        with opened(self._tiles[tile].files[LABELS]) as source:
            if not source.crs:
                return None
            a, b, west, d, e, north = tuple(source.transform)[:6]
            down, right = (self._margin + position * self._side for position in (row, column))
            corner = (west + a * right + b * down, north + d * right + e * down)
            return {"crs": source.crs, "transform": rasterio.Affine(a, b, corner[0], d, e, corner[1])}

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        out[...] = self._patch(index, modality)[list(bands)]

    def _labels(self, index: int) -> np.ndarray:
        return self._patch(index, LABELS)[None].copy()

    def _patch(self, index: int, part: str) -> np.ndarray:
        """A part of one location; the whole tile is read and checked, and kept until another is asked for."""
        tile, row, column = self._patches[index]
        if self._cached is None or self._cached[0] != tile:
            self._cached = tile, read_tile(self._tiles[tile], self._layout, self.info.modalities)
        return self._cut_out(self._cached[1][part], row, column)

    def _cut_out(self, pixels: np.ndarray, row: int, column: int) -> np.ndarray:
        top, left = (self._margin + position * self._side for position in (row, column))
        return pixels[..., top : top + self._side, left : left + self._side]

    def _labelled(self) -> list[tuple[int, int, int]]:
        """Tile, row and column of the patches to read; those of labels that cannot be read are kept, to be reported."""
        patches = []
        for tile, (_, files) in enumerate(tqdm(self._tiles, desc="reading labels", unit="tile")):
            try:
                labels = read_labels(files[LABELS], self._layout)
            except ValueError:
                labels = np.zeros((self._layout.size or 0,) * 2, np.uint8)
            patches += [
                (tile, row, column)
                for row in range(self._per_side)
                for column in range(self._per_side)
                if (self._cut_out(labels, row, column) != IGNORE_INDEX).any()
            ]
        return patches
