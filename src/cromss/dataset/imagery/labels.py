"""Opens all label files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from cromss.dataset.checks import check_labels
from cromss.dataset.geotiff import Header, header_of, opened
from cromss.dataset.imagery.raster import Raster, alpha_bands, masks_of, read_planes
from cromss.types import IGNORE_INDEX


def read_labels(file: Path, num_classes: int) -> np.ndarray:
    """Reads a file of labels.

    Args:
        file: A GeoTIFF of one band, integers or whole numbers as floats, of any type.
        num_classes: Number of classes.

    Returns:
        uint8 ``(H, W)``: a class from 0, or 255 where the file says 255, its nodata or NaN, or masks the pixel.

    Raises:
        ValueError: The file is missing or damaged, or holds something else.
    """
    codes, known = read_codes(file)
    check_labels(str(file), np.where(known, codes, IGNORE_INDEX), num_classes)
    return np.where(known, codes, IGNORE_INDEX).astype(np.uint8)


def read_codes(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Label codes ``(H, W)`` as they are stored, of an integer type, and bool ``(H, W)``, False where there is none.

    Raises:
        ValueError: The file is missing or damaged, or holds something else than one band of whole numbers.
    """
    with opened(file) as source:
        return codes_of(file, source)


def codes_of(file: Path, source: Any, window: Window | None = None) -> tuple[np.ndarray, np.ndarray]:
    """What `read_codes` reads, of an opened file and of a window of it; None reads all."""
    header, index = _checked(file, source)
    nodata = source.nodatavals[index - 1]
    raster = Raster(source, (index,), ("labels",), (nodata,), ((1, 0),), masks_of(source))
    known = np.ones(header.size if window is None else (window.height, window.width), bool)
    codes = read_planes(raster, [index], window, known)[0]
    if codes.dtype.kind == "f":
        known &= ~np.isnan(codes)
    if nodata is not None and not np.isnan(nodata):
        known &= codes != nodata
    if codes.dtype.kind != "f":
        return codes, known
    codes = np.where(known, codes, 0)
    broken = codes[codes != np.round(codes)]
    if broken.size or np.abs(codes).max(initial=0) > np.iinfo(np.int32).max:
        shown = ", ".join(f"{value:g}" for value in np.unique(broken if broken.size else codes)[-5:])
        raise ValueError(f"{file} holds {shown}: labels are whole numbers, a class from 0, or 255")
    return codes.astype(np.int32), known


def label_header(file: Path) -> Header:
    """The header of a file that may hold labels: one band, beside alpha bands, of numbers that are not complex.

    Raises:
        ValueError: The file is missing or damaged, or holds something else.
    """
    with opened(file) as source:
        return _checked(file, source)[0]


def _checked(file: Path, source: Any) -> tuple[Header, int]:
    """The header of an opened file, and the number of the band that holds the labels."""
    header = header_of(source)
    alphas = alpha_bands(source)
    bands = header.bands - len(alphas)
    if bands != 1 or np.dtype(header.dtype).kind not in "uif":
        raise ValueError(f"{file} has {bands} bands of {header.dtype}: labels are one band of whole numbers")
    return header, next(index for index in source.indexes if index not in alphas)
