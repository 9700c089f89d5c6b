"""OpenStreetMap land use of tiles, from the colours of a map.

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
from scipy import ndimage

from cromss.dataset.classes import CLASSES
from cromss.prepare.download.manifest import EmptyTileError
from cromss.prepare.download.tiles import Box, Tile, grid
from cromss.prepare.download.wms import MapService, read_picture
from cromss.prepare.geotiff import write_geotiff

_MERCATOR = "EPSG:3857"
_SWATCH = 5
"""Pixels per side of the smallest area of a legend that is not part of a word."""


@dataclass(frozen=True)
class Drawing:
    """How labels are read from the colours of a map.

    Attributes:
        colours: ``(14, 3)`` of the legend: no label, then codes 1..13.
        margin: Share of a tile's side that the map shows beyond each side.
        scale: Pixels of the map per pixel of the tile, along each side.
        opening: Pixels per side of the square that must fit into marked areas.
    """

    colours: NDArray[np.uint8]
    margin: float
    scale: int
    opening: int


def find_colours(legend: str | Sequence[str] | None, service: MapService) -> NDArray[np.uint8]:
    """Finds the colour of each code.

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
            f"download.osm.legend: {origin} has {len(colours)} colours, {needed} are needed ({found}): set "
            "download.osm.legend=[COLOUR, …], first the one of no label, then those of codes 1 to 13"
        )
    return colours


def fetch_labels(service: MapService, drawing: Drawing, tile: Tile, target: Path) -> str:
    """Saves the labels of a tile as a GeoTIFF on the tile's grid: uint8, 0 = unmarked, codes 1..13.

    Args:
        service: The map.
        drawing: How to read labels from the map.
        tile: The area.
        target: File to write.

    Returns:
        A description of the map that the labels were read from.

    Raises:
        EmptyTileError: No pixel is labelled.
        ValueError: The service refuses, or sends no map.
        OSError: It cannot be reached, or the file cannot be written.
    """
    wide = _widen(tile.mercator, drawing.margin)
    try:
        labels, shown = _draw(service, drawing, tile, wide, 1 + 2 * drawing.margin), "the box with a margin"
    # Some services show nothing if the box is partly outside of their area.
    except ValueError:
        labels, shown = _draw(service, drawing, tile, tile.mercator, 1), "the box itself"
    if not labels.any():
        raise EmptyTileError("no labelled pixel")
    write_geotiff(target, labels[None], tile.crs, tile.transform, ["land use"])
    return shown


def legend_colours(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The colours of the areas of a legend, not those of its words and lines.

    Args:
        picture: ``(height, width, >= 3)``, red, green, blue, 0..255.
        side: A colour counts if it fills a square of so many pixels somewhere.

    Returns:
        ``(colours, 3)``, different ones, from top to bottom and there from left to right.
    """
    packed = _pack(picture)
    # Outside of the picture there is no colour.
    limits = {"size": side, "mode": "constant", "cval": -1}
    solid = packed[ndimage.minimum_filter(packed, **limits) == ndimage.maximum_filter(packed, **limits)]
    values, first = np.unique(solid, return_index=True)
    return _unpack(values[np.argsort(first)])


def nearest_colours(picture: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Numbers of the nearest colours, by distance in red, green and blue.

    Args:
        picture: ``(height, width, >= 3)``, 0..255.
        colours: ``(colours, 3)``, 0..255, at most 256; of two equally near colours the first counts.

    Returns:
        ``(height, width)``, from 0.
    """
    values, where = np.unique(_pack(picture), return_inverse=True)
    differences = _unpack(values).astype(np.int64)[:, None] - colours.astype(np.int64)[None]
    nearest = np.square(differences).sum(axis=-1).argmin(axis=1).astype(np.uint8)
    return nearest[where].reshape(picture.shape[:2])


def open_classes(codes: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Removes parts that are narrower than a square, one class at a time, by a binary opening: erosion, then dilation.

    Args:
        codes: ``(height, width)``, 0 = unmarked.
        side: Pixels per side of the square.

    Returns:
        The same with fewer pixels marked. An opening adds no pixel, so that no two classes claim the same one.
    """
    opened = np.zeros_like(codes)
    for code in np.unique(codes[codes > 0]):
        opened[ndimage.binary_opening(codes == code, np.ones((side, side), bool))] = code
    return opened


def to_tile(codes: NDArray[np.uint8], box: Box, tile: Tile) -> NDArray[np.uint8]:
    """Brings codes ``(height, width)`` on a box in EPSG:3857 to a tile's grid; nearest neighbour, 0 outside."""
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


def _pack(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    red, green, blue = np.moveaxis(picture[..., :3].astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def _unpack(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1).astype(np.uint8)
