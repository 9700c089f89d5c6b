"""Resamples rasters to one grid, and reports by how much they differ from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import MaskFlags, Resampling
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from cromss.dataset.geotiff import Header, grid_difference, header_of

Bounds = tuple[float, float, float, float]
"""Left, bottom, right, top."""


def on_grid(stack: ExitStack, source: Any, header: Header, modality: str) -> Any:
    """The raster itself, or a view of it on another grid, bilinear, that knows where it has no values.

    Args:
        stack: Closes the view.
        source: An opened raster.
        header: Of the grid.
        modality: ``"s1"`` or ``"s2"``.

    Raises:
        ValueError: The raster lies on another grid, and its coordinates are not known.
    """
    own = header_of(source)
    if not grid_difference(own, header):
        return source
    if source.crs is None:  # also where it lies by ground control points
        raise ValueError(
            f"{source.name} has no CRS and {own.size} px where {header.size} px are needed: bring all files to one grid"
        )
    is_float = np.dtype(own.dtype).kind == "f"
    # Integers have no NaN: without nodata GDAL fills what the raster does not cover with 0, a value like others.
    bare = not is_float and source.nodata is None and MaskFlags.per_dataset not in source.mask_flag_enums[0]
    return stack.enter_context(
        WarpedVRT(
            source,
            crs=header.crs,
            transform=rasterio.Affine(*header.transform),
            height=header.size[0],
            width=header.size[1],
            resampling=Resampling.bilinear,
            nodata=np.nan if is_float else source.nodata,
            # Fill values at borders of S1 must not be interpolated with real values.
            src_nodata=0 if source.nodata is None and is_float and modality == "s1" else source.nodata,
            add_alpha=bare,
        )
    )


def check_overlap(s1: Header, s2: Header, paths: Mapping[str, Path], difference: str, align: bool) -> None:
    """Reports by how much two grids differ, unless S1 can be and is to be resampled.

    Args:
        s1: Grid of S1.
        s2: Grid of S2.
        paths: Modality -> what messages call it.
        difference: The first in which the grids differ.
        align: Whether S1 is to be resampled.

    Raises:
        ValueError: They do not overlap, it is unknown whether they do, or `align` is not set.
    """
    where = f"{paths['s1']} and {paths['s2']}"
    if s1.gcps or s2.gcps:
        raise ValueError(
            f"{where} differ in {difference}, and one of them lies by ground control points alone: orthorectify it "
            "first, e.g. with SNAP or gdalwarp -tps"
        )
    if "none" in (s1.crs, s2.crs):
        raise ValueError(f"{where} differ in {difference}, and without a CRS their position is unknown: align them")
    theirs = _bounds(s2)
    try:
        inside = transform_bounds(s1.crs, s2.crs, *_bounds(s1))
    except RasterioError as error:
        raise ValueError(f"{where}: {s1.crs} cannot be brought to {s2.crs} ({error}): bring them to one CRS") from error
    left, bottom, right, top = (
        pick(pair) for pick, pair in zip((max, max, min, min), zip(inside, theirs, strict=True), strict=True)
    )
    if left >= right or bottom >= top:
        raise ValueError(
            f"{where} do not overlap: S1 covers {_rounded(inside)} and S2 {_rounded(theirs)} (left, bottom, right, "
            f"top in {s2.crs}): give scenes of one location"
        )
    if not align:
        share = (right - left) * (top - bottom) / ((theirs[2] - theirs[0]) * (theirs[3] - theirs[1]))
        pixel = abs(s2.transform[0])
        shift = f"S1 begins {(inside[0] - theirs[0]) / pixel:+.2f} px across and "
        shift += f"{(theirs[3] - inside[3]) / pixel:+.2f} px down from S2, and covers {share:.0%} of it"
        raise ValueError(
            f"{where} differ in {difference}. {shift}: set align=true to resample S1 to the grid of S2, or bring them "
            "to one grid"
        )


def _bounds(header: Header) -> Bounds:
    left, bottom, right, top = array_bounds(*header.size, rasterio.Affine(*header.transform))
    # Rows may count northwards, and columns westwards.
    return min(left, right), min(bottom, top), max(left, right), max(bottom, top)


def _rounded(bounds: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.9g}" for value in bounds) + ")"
