"""One opened raster of an image: its bands of the modality, their scaling and their masks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window

from cromss.dataset.imagery.band_names import name_bands

_named = lru_cache(maxsize=64)(name_bands)
"""Cached, as most of the thousands of files of a folder have the same names."""


class Masks(NamedTuple):
    """The masks of a raster, besides nodata.

    Attributes:
        alpha: Number of a band that says which are known; None without.
        shared: Whether there is one mask for all bands.
        own: Numbers of bands with masks of their own.
    """

    alpha: int | None
    shared: bool
    own: frozenset[int]


@dataclass(frozen=True)
class Raster:
    """An opened raster, or a view of one on another grid, and its bands of one image.

    Attributes:
        source: What pixels are read from.
        indexes: Numbers of the bands in the file, from 1.
        names: Their published names.
        nodata: The nodata that the file declares for each of them.
        scaling: Scale and offset that the file declares for each of them.
        masks: Its other masks of known pixels.
        extras: Descriptions of what the file holds besides bands of the modality, e.g. ``angle``.
        assumed: Whether the file names no band, so that the published order is assumed.
        resampled: Whether `source` is a view on another grid.
    """

    source: Any
    indexes: tuple[int, ...]
    names: tuple[str, ...]
    nodata: tuple[float | None, ...]
    scaling: tuple[tuple[float, float], ...]
    masks: Masks
    extras: tuple[str, ...] = ()
    assumed: bool = False
    resampled: bool = False


def raster_of(path: Path, modality: str, source: Any, name: str | None = None) -> Raster:
    """The bands of an opened raster.

    Args:
        path: Name of the raster in messages.
        modality: ``"s1"`` or ``"s2"``.
        source: The opened raster.
        name: Published name of its only band, where its file name states it; None reads the band descriptions.

    Raises:
        ValueError: Its type is none of the modality, or its bands cannot be identified.
    """
    alphas = alpha_bands(source)
    data = [index for index in source.indexes if index not in alphas]
    # Complex values are no backscatter yet, and reflectance x 10000 does not fit into int8.
    for dtype in {source.dtypes[index - 1] for index in data}:
        if np.dtype(dtype).kind not in "uif" or (modality == "s2" and dtype == "int8"):
            raise ValueError(f"{path} holds {dtype}: {modality} has to be integers or floats that are not complex")
    if name is None:
        try:
            bands = _named(modality, tuple(source.descriptions[index - 1] for index in data))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        indexes, names = tuple(data[index - 1] for index in bands.indexes), bands.names
        extras, assumed = bands.extras, bands.assumed
    else:
        if len(data) != 1:
            raise ValueError(f"{path} has {len(data)} bands: a folder holds one file per band")
        indexes, names, extras, assumed = (data[0],), (name,), (), False
    tags = _spelled(source.tags())
    declared = [_declared(path, source, index, tags) for index in indexes]
    return Raster(
        source=source,
        indexes=indexes,
        names=names,
        nodata=tuple(nodata for nodata, _ in declared),
        scaling=tuple(scaling for _, scaling in declared),
        masks=masks_of(source),
        extras=extras,
        assumed=assumed,
    )


def read_planes(raster: Raster, indexes: Sequence[int], window: Window | None, known: np.ndarray) -> np.ndarray:
    """Reads bands of one raster by their numbers in the file; its mask and alpha band are taken into `known`."""
    source, masks = raster.source, raster.masks
    try:
        planes = source.read(list(indexes), window=window)
        if masks.alpha is not None:
            known &= source.read(masks.alpha, window=window) > 0
        elif masks.shared:
            known &= source.dataset_mask(window=window) > 0
        for index in masks.own.intersection(indexes):
            known &= source.read_masks(index, window=window) > 0
    except RasterioError as error:
        reason = error.__cause__ or error
        raise ValueError(f"{source.name} cannot be read ({reason}): it is truncated or damaged") from error
    return planes


def masks_of(source: Any) -> Masks:
    """The masks of an opened raster."""
    alphas = alpha_bands(source)
    flags = dict(zip(source.indexes, source.mask_flag_enums, strict=True))
    # GDAL takes an alpha band for a mask in files of two or four bands alone, and there a named band as well.
    shared = any(MaskFlags.per_dataset in one and MaskFlags.alpha not in one for one in flags.values())
    return Masks(alphas[0] if alphas else None, shared, frozenset(index for index, one in flags.items() if not one))


def alpha_bands(source: Any) -> list[int]:
    """Numbers of bands that say which pixels are known, as `gdalwarp -dstalpha` writes them; a named band is data."""
    described = zip(source.indexes, source.colorinterp, source.descriptions, strict=True)
    return [index for index, meaning, name in described if meaning == ColorInterp.alpha and not name]


def _declared(path: Path, source: Any, index: int, tags: Mapping[str, str]) -> tuple[float | None, tuple[float, float]]:
    """Nodata, and scale and offset, of a band: those of GDAL, else those of tags as CF names them."""
    nodata, scale, offset = source.nodatavals[index - 1], source.scales[index - 1], source.offsets[index - 1]
    if nodata is not None and (scale, offset) != (1, 0):
        return nodata, _usable(path, scale, offset)
    tags = {**tags, **_spelled(source.tags(index))}
    if (scale, offset) == (1, 0):
        scale, offset = _number(path, tags, "scalefactor", 1), _number(path, tags, "addoffset", 0)
        if scale >= 100:
            # 10000 is meant as a divisor, as no file stores values that are multiplied by it.
            scale = 1 / scale
    if nodata is None and {"fillvalue", "missingvalue"} & set(tags):
        nodata = _number(path, tags, "fillvalue" if "fillvalue" in tags else "missingvalue", math.nan)
    return nodata, _usable(path, scale, offset)


def _spelled(tags: Mapping[str, str]) -> dict[str, str]:
    return {re.sub("[^a-z]", "", name.lower()): text for name, text in tags.items()}


def _number(path: Path, tags: Mapping[str, str], name: str, default: float) -> float:
    if name not in tags:
        return default
    try:
        return float(tags[name])
    except ValueError as error:
        raise ValueError(f"{path}: tag {name}={tags[name][:80]!r} is no number: remove or mend it") from error


def _usable(path: Path, scale: float, offset: float) -> tuple[float, float]:
    if not (math.isfinite(scale) and math.isfinite(offset) and scale > 0):
        raise ValueError(f"{path} declares a scale of {scale:g} and an offset of {offset:g}: remove or mend these")
    return scale, offset
