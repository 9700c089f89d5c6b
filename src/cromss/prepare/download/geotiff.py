"""Writes tiles as GeoTIFFs, and reads the pictures that servers send."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import MemoryFile

from cromss.io.atomic import write_file
from cromss.prepare.download.tiles import Tile

_MOST_VALUES = 4 * 10**8
"""Of all bands of a picture; the largest tile that may be asked for has 10,000 x 10,000 px."""


def save_tile(target: Path, pixels: NDArray, tile: Tile, names: Sequence[str]) -> None:
    """Writes a GeoTIFF on a tile's grid, as a whole.

    Args:
        target: The file; its folder is made where it is missing.
        pixels: ``(bands, height, width)``, of the type to store.
        tile: Whose CRS and grid it has.
        names: Of the bands.

    Raises:
        OSError: It cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = pixels.shape
    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff",
            count=bands,
            height=height,
            width=width,
            dtype=pixels.dtype.name,
            crs=tile.crs,
            transform=tile.transform,
            compress="deflate",
        ) as file:
            file.write(pixels)
            file.descriptions = tuple(names)
        write_file(target, memory.getbuffer())


def read_picture(content: bytes, what: str) -> NDArray[np.uint8]:
    """Decodes a TIFF or PNG.

    Args:
        content: Its bytes.
        what: It is; begins the message.

    Returns:
        ``(height, width, 4)``: red, green, blue and opacity, 0..255. Palettes and greys are turned into colours.

    Raises:
        ValueError: It is no picture, or has more than 8 bits a band.
    """
    with warnings.catch_warnings():
        # Only its colours are asked for: where it lies is known.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            # Whatever else a server sends may describe files of this computer, as a VRT does.
            driver = "PNG" if content.startswith(b"\x89PNG") else "GTiff"
            with MemoryFile(content) as memory, memory.open(driver=driver) as file:
                if file.count * file.width * file.height > _MOST_VALUES:
                    raise ValueError(
                        f"{what} has {file.count} bands of {file.width} x {file.height} px, more than {_MOST_VALUES} "
                        "values"
                    )
                bands = file.read()
                palette = file.colormap(1) if bands.shape[0] == 1 and file.colorinterp[0].name == "palette" else None
        except RasterioIOError as error:
            raise ValueError(f"{what} is no picture: it begins {content[:80]!r}") from error
    if bands.dtype != np.uint8:
        raise ValueError(f"{what} has values of {bands.dtype}: uint8 is needed")
    if palette is not None:
        return np.array([palette[value] for value in range(256)], np.uint8)[bands[0]]
    colours = bands[:3] if len(bands) >= 3 else np.repeat(bands[:1], 3, axis=0)
    opacity = bands[-1:] if len(bands) in (2, 4) else np.full_like(bands[:1], 255)
    return np.moveaxis(np.concatenate([colours, opacity]), 0, -1)
