"""OpenStreetMap land use of tiles, read off the colours of a map.

Source of the rules: how the downstream tiles of CromSS were labelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from rasterio.warp import Resampling, reproject

from cromss.dataset.classes import CLASSES
from cromss.prepare.download.colours import legend_colours, nearest_colours, open_classes
from cromss.prepare.download.each import EmptyTileError
from cromss.prepare.download.geotiff import read_picture, save_tile
from cromss.prepare.download.tiles import Box, Tile, grid
from cromss.prepare.download.wms import MapService

_MERCATOR = "EPSG:3857"
_SWATCH = 5
"""Pixels on a side of the smallest area of a legend that is not part of a word."""


@dataclass(frozen=True)
class Drawing:
    """How labels are read off a map.

    Attributes:
        colours: ``(14, 3)`` of the legend: no label, then codes 1..13.
        margin: Share of a tile's box that the map shows beyond each of its sides.
        scale: Pixels of the map, on a side, for one of the tile.
        opening: Pixels on a side of the square that marked areas have to hold.
    """

    colours: NDArray[np.uint8]
    margin: float
    scale: int
    opening: int


def find_colours(legend: str | Sequence[str] | None, service: MapService) -> NDArray[np.uint8]:
    """Finds out which colours mean which codes.

    Args:
        legend: File with a picture; or the colours themselves; None takes the picture of the service.
        service: The map.

    Returns:
        ``(14, 3)``, red, green, blue, 0..255: no label, then codes 1..13.

    Raises:
        ValueError: There are more or fewer colours, or the legend cannot be read.
        OSError: The service cannot be reached.
    """
    if legend is None:
        colours, origin = legend_colours(service.legend(), _SWATCH), "the legend of the service"
    elif isinstance(legend, str):
        colours, origin = legend_colours(_read(Path(legend).expanduser()), _SWATCH), legend
    else:
        colours, origin = np.array([_colour(name) for name in legend], np.uint8).reshape(-1, 3), "the list"
    needed = len(CLASSES["osm"]) + 1
    if len(colours) != needed:
        found = ", ".join(hex_names(colours)) or "none"
        raise ValueError(
            f"download.osm.legend: {origin} has {len(colours)} colours, {needed} are needed ({found}): say "
            "download.osm.legend=[COLOUR, …], first the one of no label, then those of codes 1 to 13"
        )
    return colours


def fetch_labels(service: MapService, drawing: Drawing, tile: Tile, target: Path) -> str:
    """Saves the labels of a tile as a GeoTIFF on the tile's grid: uint8, 0 = unmarked, codes 1..13.

    Args:
        service: The map.
        drawing: How to read it.
        tile: Where.
        target: File to write.

    Returns:
        What the labels were read off.

    Raises:
        EmptyTileError: No pixel is labelled.
        ValueError: The service refuses, or sends no map.
        OSError: It cannot be reached, or the file cannot be written.
    """
    wide = _widen(tile.mercator, drawing.margin)
    try:
        labels, shown = _draw(service, drawing, tile, wide, 1 + 2 * drawing.margin), "the box with a margin"
    # Some services show nothing beyond what they cover.
    except ValueError:
        labels, shown = _draw(service, drawing, tile, tile.mercator, 1), "the box itself"
    if not labels.any():
        raise EmptyTileError("no labelled pixel")
    save_tile(target, labels[None], tile, ["land use"])
    return shown


def to_tile(codes: NDArray[np.uint8], box: Box, tile: Tile) -> NDArray[np.uint8]:
    """Brings codes ``(height, width)`` on a box in EPSG:3857 to a tile's grid; nearest, 0 where nothing lies."""
    labels = np.zeros((tile.height, tile.width), np.uint8)
    reproject(
        codes,
        labels,
        src_transform=grid(box, *codes.shape),
        src_crs=_MERCATOR,
        dst_transform=tile.transform,
        dst_crs=tile.crs,
        resampling=Resampling.nearest,
    )
    return labels


def hex_names(colours: NDArray[np.uint8]) -> list[str]:
    """Colours ``(n, 3)`` as ``#rrggbb``."""
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours]


def _draw(service: MapService, drawing: Drawing, tile: Tile, box: Box, sides: float) -> NDArray[np.uint8]:
    height, width = (round(size * drawing.scale * sides) for size in (tile.height, tile.width))
    picture = service.map(box, height, width)
    codes = nearest_colours(picture, drawing.colours)
    codes[picture[..., 3] == 0] = 0
    return open_classes(to_tile(open_classes(codes, drawing.opening), box, tile), drawing.opening)


def _widen(box: Box, margin: float) -> Box:
    left, bottom, right, top = box
    aside, above = (right - left) * margin, (top - bottom) * margin
    return left - aside, bottom - above, right + aside, top + above


def _read(path: Path) -> NDArray[np.uint8]:
    try:
        return read_picture(path.read_bytes(), f"download.osm.legend={path}")
    except OSError as error:
        raise ValueError(f"download.osm.legend={path} cannot be read: {error.strerror}") from error


def _colour(name: Any) -> tuple[int, ...]:
    try:
        return tuple(round(255 * share) for share in to_rgb(name))
    except ValueError as error:
        raise ValueError(f"download.osm.legend: {name} is no colour such as #e6004d") from error
