"""The sources of stores: one function per kind of raw data opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from cromss.dataset.folder import FolderReader
from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import open_reference
from cromss.prepare.ssl4eo_s12 import open_ssl4eo_s12
from cromss.prepare.tile_layouts import LAYOUTS
from cromss.prepare.tiles import TileReader


def open_dw(path: str | Path, cut: int | None, size: int | None) -> TileReader:
    """Opens Dynamic World tiles: ``path/{s1,s2,dw}/{s1,s2,dw}_<id>.tif``, 9 classes.

    Args:
        path: Folder of the three folders.
        cut: Pixels per side of patches, 102 as published; None for whole tiles. See `TileReader`.
        size: Pixels per side of the tiles; None takes that of the first readable tile.

    Raises:
        ValueError: See `TileReader`.
    """
    return TileReader(path, replace(LAYOUTS["dw"], size=size), cut)


def open_osm(path: str | Path, cut: int | None, size: int | None) -> TileReader:
    """Opens OpenStreetMap tiles: ``path/{s1,s2,osm}/{s1,s2,osm}_<id>.tif``, 13 classes; see `open_dw`."""
    return TileReader(path, replace(LAYOUTS["osm"], size=size), cut)


def open_dfc2020(path: str | Path, split: str, cut: int | None) -> TileReader:
    """Opens DFC2020: ``path/<split>/{s1,s2,dfc}_<split>/ROIs0000_<split>_{s1,s2,dfc}_0_p<i>.tif``, 8 classes.

    Args:
        path: Folder of the splits.
        split: ``validation``, the 986 patches that are the training set, or ``test``.
        cut: Pixels per side of smaller patches, 128 as published; None for 256. See `TileReader`.

    Raises:
        ValueError: See `TileReader`.
    """
    return TileReader(path, LAYOUTS[f"dfc2020 {split}"], cut)


SOURCES: Mapping[str, Callable[..., LocationReader]] = {
    "ssl4eo_s12": open_ssl4eo_s12,
    "dw": open_dw,
    "osm": open_osm,
    "dfc2020": open_dfc2020,
    "reference": open_reference,
    "folder": FolderReader,
}
"""Value of ``source=`` -> function of ``path`` and the options of that name."""
