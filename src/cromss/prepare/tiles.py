"""Reads raw GeoTIFF tiles, whole or cut into patches, and reports damaged ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio import Affine
from tqdm import tqdm

from cromss.dataset.bands import BANDS
from cromss.dataset.geotiff import Header, grid_difference, opened
from cromss.dataset.imagery.image import Image, open_image
from cromss.dataset.imagery.judge import judge
from cromss.dataset.imagery.labels import label_header, read_codes
from cromss.dataset.imagery.units import AUTO
from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.dataset.reference_formats import LABELS
from cromss.prepare.tile_layouts import Tile, TileLayout, find_tiles
from cromss.types import IGNORE_INDEX

_CURE = "download or create it again, or remove the tile"


class TileReader(LocationReader):
    """Reads tiles of one season; a damaged tile fails when it is read.

    The constructor lists folders and opens the first tile; when cut, it reads all labels too. Values are raw units: S1
    dB, S2 reflectance x 10000. Bands come in the order of `cromss.dataset.bands.BANDS`, whatever that in the files.

    Args:
        path: The folder that the layout describes.
        layout: Layout of the files.
        cut: Pixels per side of the patches that a tile is cut into, side by side in its middle; patches without
            a label are left out. None reads whole tiles.

    Attributes:
        absent: Id of an incomplete tile, which is no location -> its missing parts.

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
        # Published patches were cut at offset 1 from tiles of 510 px padded to 512 px, so the padding is never used.
        # For tiles of 512 px, offset 1 is also the middle.
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
            down, right = (self._margin + position * self._side for position in (row, column))
            a, b, west, d, e, north = tuple(source.transform)[:6]
            corner = (west + a * right + b * down, north + d * right + e * down)
            return {"crs": source.crs, "transform": Affine(a, b, corner[0], d, e, corner[1])}

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        out[...] = self._patch(index, modality)[list(bands)]

    def _labels(self, index: int) -> np.ndarray:
        return self._patch(index, LABELS)[None].copy()

    def _patch(self, index: int, part: str) -> np.ndarray:
        """A part of one location; the whole tile is read, checked, and cached until another one is needed."""
        tile, row, column = self._patches[index]
        if self._cached is None or self._cached[0] != tile:
            self._cached = tile, read_tile(self._tiles[tile], self._layout, self.info.modalities)
        return self._cut_out(self._cached[1][part], row, column)

    def _cut_out(self, pixels: np.ndarray, row: int, column: int) -> np.ndarray:
        top, left = (self._margin + position * self._side for position in (row, column))
        return pixels[..., top : top + self._side, left : left + self._side]

    def _labelled(self) -> list[tuple[int, int, int]]:
        """Tile, row and column of the patches to read; those with unreadable labels are kept, to be reported."""
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


class TileHeader(NamedTuple):
    """The header of a file of a tile, and the published names of its bands (empty for labels)."""

    header: Header
    bands: tuple[str, ...]


def first_readable(tiles: Iterable[Tile], layout: TileLayout) -> tuple[dict[str, tuple[str, ...]], int]:
    """Names of the bands of each modality, and the size, from the first readable tile."""
    problem = None
    for tile in tiles:
        try:
            headers = read_headers(tile, layout)
        except ValueError as error:
            problem = problem or error
            continue
        ordered = {part: tuple(band.name for band in BANDS[part] if band.name in headers[part].bands) for part in BANDS}
        return ordered, headers[LABELS].header.size[0]
    raise ValueError(f"none of the tiles can be read. The first: {problem}")


def read_headers(tile: Tile, layout: TileLayout) -> dict[str, TileHeader]:
    """Part -> header of its file; ValueError unless all are of the layout and on one grid."""
    headers: dict[str, TileHeader] = {}
    for part, file in tile.files.items():
        headers[part] = _header(file, part, layout)
        beside = next(iter(headers))
        if difference := grid_difference(headers[part].header, headers[beside].header):
            raise ValueError(f"{file} and {tile.files[beside]} differ in {difference}: bring them to one grid")
    return headers


def read_tile(tile: Tile, layout: TileLayout, modalities: Mapping[str, ModalityInfo]) -> dict[str, np.ndarray]:
    """Reads all pixels: modality -> ``(K, H, W)`` in raw units, and ``labels`` -> see `read_labels`.

    Pixels that are unknown in a modality have no label.

    Raises:
        ValueError: A file does not fit the layout; the message has the actual and the expected property.
    """
    headers = read_headers(tile, layout)
    labels = read_labels(tile.files[LABELS], layout)
    pixels = {}
    for part, wanted in modalities.items():
        pixels[part], known = _read_image(tile.files[part], part, headers[part].bands, wanted.bands)
        labels[~known] = IGNORE_INDEX
    return {**pixels, LABELS: labels}


def read_labels(file: Path, layout: TileLayout) -> np.ndarray:
    """Labels of a tile, uint8 ``(H, W)``: a class from 0, or 255; ValueError where the file is not of the layout."""
    _header(file, LABELS, layout)
    stored, known = read_codes(file)
    classes = np.full(256, -1 if layout.others is None else layout.others, np.int16)
    classes[list(layout.remap)] = list(layout.remap.values())
    labels = np.where(known, classes[stored], IGNORE_INDEX)
    if (labels < 0).any():
        values = np.unique(stored[labels < 0])[:10].tolist()
        raise ValueError(f"{file}: label values {values} are none of {sorted(layout.remap)}: {_CURE}")
    return labels.astype(np.uint8)


def _opened(file: Path, modality: str) -> AbstractContextManager[Image]:
    return open_image(file, modality, units=AUTO, s2_offset=None, unknown_offset=0)


def _header(file: Path, part: str, layout: TileLayout) -> TileHeader:
    bands: tuple[str, ...] = ()
    if part == LABELS:
        header = label_header(file)
    else:
        with _opened(file, part) as image:
            header, bands = image.header, image.bands
    if header.dtype != layout.dtypes[part]:
        raise ValueError(f"{file} is {header.dtype}: {part} is {layout.dtypes[part]} here; {_CURE}")
    height, width = header.size
    side = layout.size or height
    if (height, width) != (side, side):
        raise ValueError(f"{file} is {width} x {height} px: {side} x {side} are needed; {_CURE}")
    return TileHeader(header, bands)


def _read_image(
    file: Path, modality: str, stored: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray]:
    if set(stored) != set(wanted):
        raise ValueError(f"{file} holds bands {' '.join(stored)}: the first tile has {' '.join(wanted)}; {_CURE}")
    with _opened(file, modality) as image:
        judge(image, has_setting=False)
        pixels, known = image.read(bands=wanted)
    if not known.any():
        raise ValueError(f"{file}: no pixel has data: {_CURE}")
    return pixels, known
