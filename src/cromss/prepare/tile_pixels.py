"""Reads one raw tile, and names what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cromss.dataset.bands import BANDS
from cromss.dataset.geotiff import Header, grid_difference
from cromss.dataset.imagery.image import Image, open_image
from cromss.dataset.imagery.judge import judge
from cromss.dataset.imagery.labels import label_header, read_codes
from cromss.dataset.imagery.units import AUTO
from cromss.dataset.reader import ModalityInfo
from cromss.dataset.reference_formats import LABELS
from cromss.prepare.tile_files import Tile
from cromss.prepare.tile_layouts import TileLayout
from cromss.types import IGNORE_INDEX

_CURE = "fetch or make it again, or remove the tile"


class TileHeader(NamedTuple):
    """What a file of a tile says of itself, and the published names of its bands, none for labels."""

    header: Header
    bands: tuple[str, ...]


def first_readable(tiles: Iterable[Tile], layout: TileLayout) -> tuple[dict[str, tuple[str, ...]], int]:
    """Names of the bands of each modality, and the size, of the first tile that can be used."""
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
    """Part -> what its file says; ValueError unless all are of the layout and on one grid."""
    headers: dict[str, TileHeader] = {}
    for part, file in tile.files.items():
        headers[part] = _header(file, part, layout)
        beside = next(iter(headers))
        if difference := grid_difference(headers[part].header, headers[beside].header):
            raise ValueError(f"{file} and {tile.files[beside]} differ in {difference}: bring them to one grid")
    return headers


def read_tile(tile: Tile, layout: TileLayout, modalities: Mapping[str, ModalityInfo]) -> dict[str, np.ndarray]:
    """Reads all pixels of a tile.

    Args:
        tile: Its files.
        layout: What they have to be.
        modalities: Which bands are wanted, in which order.

    Returns:
        Modality -> ``(K, H, W)`` in raw units, and ``labels`` -> see `read_labels`; what is unknown in a modality has
        no label.

    Raises:
        ValueError: A file is not as it should be; it is named with what was found and what is needed.
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
        judge(image, can_tell=False)
        pixels, known = image.read(bands=wanted)
    if not known.any():
        raise ValueError(f"{file}: no pixel is known, so nothing was seen: {_CURE}")
    return pixels, known
