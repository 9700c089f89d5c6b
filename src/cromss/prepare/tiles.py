"""Opens the raw GeoTIFF tiles of Dynamic World, OpenStreetMap and DFC2020."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from cromss.prepare.tile_layouts import LAYOUTS, SPLITS
from cromss.prepare.tile_reader import TileReader


def open_dw(path: str | Path, cut: int | None, size: int | None) -> TileReader:
    """Opens Dynamic World tiles: ``path/{s1,s2,dw}/{s1,s2,dw}_<id>.tif``, 9 classes.

    Args:
        path: Folder of the three folders.
        cut: Pixels on a side of patches, 102 as published; None for whole tiles. See `TileReader`.
        size: Pixels on a side of the tiles; None takes the first readable one's.

    Raises:
        ValueError: A number is not allowed, or see `TileReader`.
    """
    return _open_tiles("dw", path, cut, size)


def open_osm(path: str | Path, cut: int | None, size: int | None) -> TileReader:
    """Opens OpenStreetMap tiles: ``path/{s1,s2,osm}/{s1,s2,osm}_<id>.tif``, 13 classes; see `open_dw`."""
    return _open_tiles("osm", path, cut, size)


def open_dfc2020(path: str | Path, split: str, cut: int | None) -> TileReader:
    """Opens DFC2020: ``path/<split>/{s1,s2,dfc}_<split>/ROIs0000_<split>_{s1,s2,dfc}_0_p<i>.tif``, 8 classes.

    Args:
        path: Folder of the splits.
        split: ``validation``, the 986 patches that are the training set, or ``test``.
        cut: Pixels on a side of smaller patches, 128 as published; None for 256. See `TileReader`.

    Raises:
        ValueError: An option is not allowed, or see `TileReader`.
    """
    if split not in SPLITS:
        raise ValueError(f"dfc2020.split={split} must be validation, which is the training set, or test")
    _check_pixels("dfc2020.cut", cut)
    return TileReader(path, LAYOUTS[f"dfc2020 {split}"], cut)


def _open_tiles(kind: str, path: str | Path, cut: int | None, size: int | None) -> TileReader:
    _check_pixels(f"{kind}.cut", cut)
    _check_pixels(f"{kind}.size", size)
    return TileReader(path, replace(LAYOUTS[kind], size=size), cut)


def _check_pixels(name: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{name}={value} must be a whole number of pixels from 1, or null")
