"""Writes GeoTIFFs atomically."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from numpy.typing import NDArray
from rasterio import Affine
from rasterio.io import MemoryFile

from cromss.io.atomic import write_file


def write_geotiff(
    target: Path,
    pixels: NDArray,
    crs: str | None,
    transform: Affine,
    names: Sequence[str],
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Writes a GeoTIFF, compressed without loss.

    Args:
        target: The file; its folder is created if it is missing.
        pixels: ``(bands, height, width)``, of the type to store.
        crs: Coordinate system, such as ``EPSG:32632``; None where none is known.
        transform: Column and row of a pixel's corner -> coordinates.
        names: Names of the bands.
        nodata: The value of pixels without one; None where all have one.
        tags: Further metadata.

    Raises:
        OSError: It cannot be written; an existing file is unchanged.
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
            crs=crs,
            transform=transform,
            nodata=nodata,
            tiled=min(height, width) >= 256,
            compress="deflate",
            predictor=3 if pixels.dtype.kind == "f" else 2,
        ) as file:
            file.write(pixels)
            file.descriptions = tuple(names)
            file.update_tags(**(tags or {}))
        write_file(target, memory.getbuffer())
