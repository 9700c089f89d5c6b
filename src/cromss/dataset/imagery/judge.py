"""Checks the values of an image for wrong units, a wrong offset of S2, and a wrong order of bands.

A few thousand known pixels are decoded once, and all three checks use the same ones.
"""

from __future__ import annotations

import logging

import numpy as np
from rasterio.windows import Window

from cromss.dataset.bands import select_named
from cromss.dataset.imagery.image import Image
from cromss.dataset.imagery.offset import check_offset
from cromss.dataset.imagery.spectra import doubt_order
from cromss.dataset.imagery.units import check_units, to_published, verdict

log = logging.getLogger(__name__)

_SIDE, _PLACES = 24, (0, 1 / 3, 2 / 3, 1)
"""Pixels on a side of a sample of a large image, and where samples lie along a side."""

_ROWS = (0.25, 0.75)
"""Where the samples of a small image lie, from its top: rows of its whole width, as files are stored row by row."""

_SEARCHED, _FEWEST_STRIPS = 2**26, 4
"""Pixels that are decoded in the search for known ones, and strips of rows, spread over an image, at least."""

_LARGE = 1000
"""Pixels on a side from which an image has parts that differ."""

_ENOUGH = 64
"""Known pixels in a sample that judge an image of which no more were met."""


def judge(image: Image, has_setting: bool = True) -> None:
    """Checks sample pixels for wrong units and a wrong offset of S2.

    Warns where the order of bands without names seems to be another one.

    Args:
        image: The opened image.
        has_setting: Whether the user has settings for units and offset, for the message.

    Raises:
        ValueError: They are wrong; the message names the file, the values and the setting that helps.
    """
    values = sample(image)
    if not values.size:
        log.warning("%s: no known pixel was found in it", image.path)
        return
    found = verdict(image.modality, values, select_named(image.modality, image.bands), image.quantised)
    try:
        check_units(image.modality, found, image.units, image.units_given, values, has_setting)
    except ValueError as error:
        raise ValueError(f"{image.path}: {error}") from error
    if image.quantised:
        return
    published = to_published(values, image.units)
    if image.modality == "s2" and not image.removes_offset:
        check_offset(image.path, image.offset, image.bands, published, has_setting)
    if any(raster.assumed for raster in image.rasters) and (
        doubt := doubt_order(image.modality, published.astype(np.float64) - image.offset.value)
    ):
        log.warning(
            "%s names no bands, and the order of its values is hardly that of %s: %s. Name the bands",
            image.path,
            " ".join(image.bands),
            doubt,
        )


def sample(image: Image) -> np.ndarray:
    """A sample of 1,000 to 10,000 known pixels: ``(K, n)``, scale and offset tags applied and nothing else."""
    height, width = image.header.size
    values = np.concatenate([_picked(image, window) for window in _windows(height, width)], axis=1)
    if values.shape[1] < _ENOUGH:
        # The known pixels are elsewhere, as in a location at the border of a scene.
        rows = max(1, (_SIDE * len(_PLACES)) ** 2 // width)
        strips = range(0, height, rows)
        decoded = width * max(rows, *(raster.source.block_shapes[0][0] for raster in image.rasters))
        for top in strips[:: max(1, len(strips) // max(_FEWEST_STRIPS, _SEARCHED // decoded))]:
            values = _picked(image, Window(0, top, width, min(rows, height - top)))
            if values.shape[1] >= _ENOUGH:
                break
    return values


def _picked(image: Image, window: Window) -> np.ndarray:
    values, known = image.read_stored(image.bands, window)
    return values[:, known]


def _windows(height: int, width: int) -> list[Window]:
    """The decoded windows: squares all over a large image, or some rows of a small one, which is faster."""
    rows, columns = min(_SIDE, height), min(_SIDE, width)
    down: tuple[float, ...] = _PLACES
    across: tuple[float, ...] = _PLACES
    if max(height, width) <= _LARGE:
        rows, columns = min(-(-_SIDE * _SIDE // width), height), width
        down, across = _ROWS, (0,)
    corners = dict.fromkeys((round(x * (width - columns)), round(y * (height - rows))) for y in down for x in across)
    return [Window(left, top, columns, rows) for left, top in corners]
