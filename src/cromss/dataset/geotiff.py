"""What a GeoTIFF says of itself, and whether two of them lie on one grid."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

# What GDAL says of a failure stands in the error that is raised as well.
for _name in ("rasterio._env", "rasterio._err"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

_SAME_GRID = 1e-3
"""Pixels by which corners may differ between files on one grid: less than any resampling would show."""


class Header(NamedTuple):
    """What a GeoTIFF says of itself."""

    bands: int
    dtype: str
    size: tuple[int, int]
    names: tuple[str | None, ...]
    crs: str
    transform: tuple[float, ...]


@contextmanager
def opened(file: Path) -> Iterator[rasterio.DatasetReader]:
    """Opens a file to read from; ValueError with its name where that or the reading fails."""
    if not file.is_file():
        raise ValueError(f"{file} is missing")
    try:
        with warnings.catch_warnings():
            # Patches without georeference are fine, as long as all files of a place are alike.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(file) as source:
                yield source
    except RasterioError as error:
        reason = error.__cause__ or error
        raise ValueError(f"{file} cannot be read ({reason}): it is truncated, damaged or no GeoTIFF") from error


def header_of(source: rasterio.DatasetReader) -> Header:
    """The header of an open file."""
    return Header(
        bands=source.count,
        dtype=source.dtypes[0],
        size=(source.height, source.width),
        names=source.descriptions,
        crs=source.crs.to_string() if source.crs else "none",
        transform=tuple(source.transform)[:6],
    )


def grid_difference(one: Header, other: Header) -> str:
    """The first in which two files of a place do not lie on the same grid, as text; empty where they do."""
    if one.size != other.size:
        return f"size: {one.size} and {other.size} px"
    if one.crs != other.crs:
        return f"CRS: {one.crs} and {other.crs}"
    pixel = max(abs(other.transform[0]), abs(other.transform[1]))
    reach = (max(one.size), max(one.size), 1) * 2
    shifts = [abs(a - b) * n for a, b, n in zip(one.transform, other.transform, reach, strict=True)]
    if max(shifts) > _SAME_GRID * pixel:
        return f"transform: {one.transform} and {other.transform}"
    return ""
