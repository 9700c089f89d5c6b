"""How many decoded blocks of a scene GDAL keeps in memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rasterio.vrt import WarpedVRT

from cromss.predict.scene import Layer

SMALLEST, LARGEST = 32, 1024
"""MiB. Less would be spent again at once, and more would not be bounded by anything but the width of a scene."""


def cache_for(layers: Sequence[Layer], window: int) -> int:
    """The cache that a window needs, so that its neighbour finds the blocks that both touch decoded.

    It depends on how the files are tiled, not on the size of the scene; but where a block is a line of the scene, every
    window touches all of it.

    Args:
        layers: The modalities.
        window: Pixels per side of a window.

    Returns:
        MiB, in [`SMALLEST`, `LARGEST`].
    """
    touched = sum(_touched(source, numbers, window) for layer in layers for source, numbers in _files(layer))
    return min(max(SMALLEST, math.ceil(touched / 2**20)), LARGEST)


def _files(layer: Layer) -> Iterator[tuple[Any, Sequence[int]]]:
    for source, numbers in layer.sources:
        yield source, numbers
        if isinstance(source, WarpedVRT):
            yield source.src_dataset, numbers


def _touched(source: Any, numbers: Sequence[int], window: int) -> int:
    """Bytes of the blocks that a window touches at the most."""
    height, width = source.block_shapes[0]
    down, across = (
        min(math.ceil(window / block) + 1, math.ceil(size / block))
        for block, size in ((height, source.height), (width, source.width))
    )
    # Of interleaved pixels all bands are decoded at once.
    is_pixel = source.interleaving is not None and source.interleaving.value == "PIXEL"
    bands = source.count if is_pixel else len(numbers)
    return down * across * height * width * bands * np.dtype(source.dtypes[0]).itemsize
