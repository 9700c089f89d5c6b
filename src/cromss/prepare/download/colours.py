"""From the colours of a map to class codes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def legend_colours(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The colours of the areas of a legend, not those of its words and lines.

    Args:
        picture: ``(height, width, >= 3)``, red, green, blue, 0..255.
        side: A colour counts if it fills a square of so many pixels somewhere.

    Returns:
        ``(colours, 3)``, different ones, from top to bottom and there from left to right.
    """
    packed = _pack(picture)
    # Beyond the border is no colour.
    limits = {"size": side, "mode": "constant", "cval": -1}
    solid = packed[ndimage.minimum_filter(packed, **limits) == ndimage.maximum_filter(packed, **limits)]
    values, first = np.unique(solid, return_index=True)
    return _unpack(values[np.argsort(first)])


def nearest_colours(picture: NDArray[np.uint8], colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Numbers of the nearest colours, by distance in red, green and blue.

    Args:
        picture: ``(height, width, >= 3)``, 0..255.
        colours: ``(colours, 3)``, 0..255, at most 256; of two that are as near the first counts.

    Returns:
        ``(height, width)``, from 0.
    """
    values, where = np.unique(_pack(picture), return_inverse=True)
    differences = _unpack(values).astype(np.int64)[:, None] - colours.astype(np.int64)[None]
    nearest = np.square(differences).sum(axis=-1).argmin(axis=1).astype(np.uint8)
    return nearest[where].reshape(picture.shape[:2])


def open_classes(codes: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Removes what is narrower than a square, a class at a time, by a binary opening: erosion, then dilation.

    Args:
        codes: ``(height, width)``, 0 = unmarked.
        side: Pixels on a side of the square.

    Returns:
        The same with fewer pixels marked. An opening adds no pixel, so that no two classes claim the same one.
    """
    opened = np.zeros_like(codes)
    for code in np.unique(codes[codes > 0]):
        opened[ndimage.binary_opening(codes == code, np.ones((side, side), bool))] = code
    return opened


def _pack(picture: NDArray[np.uint8]) -> NDArray[np.int64]:
    red, green, blue = np.moveaxis(picture[..., :3].astype(np.int64), -1, 0)
    return red << 16 | green << 8 | blue


def _unpack(values: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.stack([values >> 16, values >> 8 & 255, values & 255], axis=-1).astype(np.uint8)
