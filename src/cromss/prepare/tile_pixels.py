"""Reads one raw tile, and names what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from cromss.dataset.bands import BANDS
from cromss.dataset.checks import check_finite
from cromss.dataset.folder import band_names_of
from cromss.dataset.geotiff import Header, grid_difference, header_of, opened
from cromss.dataset.reader import ModalityInfo
from cromss.dataset.reference_formats import LABELS
from cromss.prepare.tile_files import Tile
from cromss.prepare.tile_layouts import TileLayout

_CURE = "fetch or make it again, or remove the tile"


def first_readable(tiles: Iterable[Tile], layout: TileLayout) -> tuple[dict[str, tuple[str, ...]], int]:
    """Names of the bands of each modality, and the size, of the first tile that can be used."""
    problem = None
    for tile in tiles:
        try:
            headers = read_headers(tile, layout)
        except ValueError as error:
            problem = problem or error
            continue
        names = {part: band_names_of(part, headers[part]) for part in BANDS}
        ordered = {part: tuple(band.name for band in BANDS[part] if band.name in names[part]) for part in BANDS}
        return ordered, headers[LABELS].size[0]
    raise ValueError(f"none of the tiles can be read. The first: {problem}")


def read_headers(tile: Tile, layout: TileLayout) -> dict[str, Header]:
    """Part -> header of its file; ValueError unless they are of the layout and on one grid."""
    headers: dict[str, Header] = {}
    for part, file in tile.files.items():
        headers[part] = _header(file, part, layout)
        beside = next(iter(headers))
        if difference := grid_difference(headers[part], headers[beside]):
            raise ValueError(f"{file} and {tile.files[beside]} differ in {difference}: bring them to one grid")
    return headers


def read_tile(tile: Tile, layout: TileLayout, modalities: Mapping[str, ModalityInfo]) -> dict[str, np.ndarray]:
    """Reads all pixels of a tile.

    Args:
        tile: Its files.
        layout: What they have to be.
        modalities: Which bands are wanted, in which order.

    Returns:
        Modality -> ``(K, H, W)`` in raw units, and ``labels`` -> see `read_labels`.

    Raises:
        ValueError: A file is not as it should be; it is named with what was found and what is needed.
    """
    headers = read_headers(tile, layout)
    pixels = {part: _read_image(tile.files[part], part, headers[part], modalities[part].bands) for part in modalities}
    return {**pixels, LABELS: read_labels(tile.files[LABELS], layout)}


def read_labels(file: Path, layout: TileLayout) -> np.ndarray:
    """Labels of a tile, uint8 ``(H, W)``: a class from 0, or 255; ValueError where the file is not of the layout."""
    _header(file, LABELS, layout)
    with opened(file) as source:
        stored = source.read(1)
    classes = np.full(256, -1 if layout.others is None else layout.others, np.int16)
    classes[list(layout.remap)] = list(layout.remap.values())
    labels = classes[stored]
    if (labels < 0).any():
        values = np.unique(stored[labels < 0])[:10].tolist()
        raise ValueError(f"{file}: label values {values} are none of {sorted(layout.remap)}: {_CURE}")
    return labels.astype(np.uint8)


def _header(file: Path, part: str, layout: TileLayout) -> Header:
    with opened(file) as source:
        header = header_of(source)
    if header.dtype != layout.dtypes[part]:
        raise ValueError(f"{file} is {header.dtype}: {part} is {layout.dtypes[part]} here; {_CURE}")
    if part == LABELS and header.bands != 1:
        raise ValueError(f"{file} has {header.bands} bands: labels have one; {_CURE}")
    if part != LABELS and not band_names_of(part, header):
        known = [band.name for band in BANDS[part]]
        raise ValueError(
            f"{file} has {header.bands} bands described as {header.names}: {part} has {len(known)} "
            f"({' '.join(known)}), and others or another order are told by these descriptions; {_CURE}"
        )
    height, width = header.size
    side = layout.size or height
    if (height, width) != (side, side):
        raise ValueError(f"{file} is {width} x {height} px: {side} x {side} are needed; {_CURE}")
    return header


def _read_image(file: Path, modality: str, header: Header, wanted: tuple[str, ...]) -> np.ndarray:
    stored = band_names_of(modality, header)
    if set(stored) != set(wanted):
        raise ValueError(f"{file} holds bands {' '.join(stored)}: the first tile has {' '.join(wanted)}; {_CURE}")
    with opened(file) as source:
        image = source.read([stored.index(name) + 1 for name in wanted])
        nodata = source.nodata
    check_finite(str(file), image[None], wanted)
    if nodata is not None and (missing := int((image == nodata).any(axis=0).sum())):
        raise ValueError(
            f"{file}: {missing} of {image[0].size} pixels have the value {nodata:g}, which it declares as nodata: "
            "fill them, or remove the tile"
        )
    if modality == "s1" and not image.any():
        raise ValueError(f"{file}: all pixels are 0, so nothing was seen: {_CURE}")
    return image
