"""Layouts of raw tiles: their files, types and label codes; and a list of the existing tiles.

Source: the Dynamic World and OSM tiles and the DFC2020 patches that CromSS was evaluated on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cromss.dataset.reference_formats import FORMATS, LABELS
from cromss.types import IGNORE_INDEX


@dataclass(frozen=True)
class TileLayout:
    """One layout of raw tiles: one file per tile for each of ``s1``, ``s2`` and ``labels``.

    Attributes:
        files: Part -> its files below the folder of the source. ``<id>`` is taken from the name, the rest has to match
            in upper or lower case; the extension may also be ``.tiff``.
        dtypes: Part -> type of its values.
        classes: Class names.
        remap: Stored label -> class from 0, or 255.
        others: New value of labels that are not in `remap`; None makes them errors.
        size: Pixels per side of all tiles; None takes that of the first readable one.
    """

    files: Mapping[str, str]
    dtypes: Mapping[str, str]
    classes: tuple[str, ...]
    remap: Mapping[int, int]
    others: int | None
    size: int | None

    def __str__(self) -> str:
        return ", ".join(self.files.values())


def _tiles(kind: str) -> TileLayout:
    published = FORMATS[kind]
    return TileLayout(
        files={"s1": "s1/s1_<id>.tif", "s2": "s2/s2_<id>.tif", LABELS: f"{kind}/{kind}_<id>.tif"},
        dtypes={part: entry.dtype for part, entry in published.entries.items()},
        classes=published.classes,
        remap=published.remap,
        others=None,
        size=None,
    )


def _dfc2020(split: str) -> TileLayout:
    return TileLayout(
        files={
            part: f"{split}/{name}_{split}/ROIs0000_{split}_{name}_0_<id>.tif"
            for part, name in {"s1": "s1", "s2": "s2", LABELS: "dfc"}.items()
        },
        dtypes={part: entry.dtype for part, entry in FORMATS["dfc2020"].entries.items()},
        classes=FORMATS["dfc2020"].classes,
        # The codes of IGBP: forest, shrubland, grassland, wetland, cropland, urban, barren, water.
        remap={1: 1, 2: 5, 4: 2, 5: 3, 6: 4, 7: 6, 9: 7, 10: 0},
        others=IGNORE_INDEX,  # savanna, snow and other classes that were not scored
        size=256,
    )


LAYOUTS: Mapping[str, TileLayout] = {
    "dw": _tiles("dw"),
    "osm": _tiles("osm"),
    "dfc2020 validation": _dfc2020("validation"),
    "dfc2020 test": _dfc2020("test"),
}


class Tile(NamedTuple):
    """One tile: its id, and the file of each of its parts."""

    id: str
    files: Mapping[str, Path]


def find_tiles(path: Path, layout: TileLayout) -> tuple[list[Tile], dict[str, str]]:
    """Lists the tiles in folders, without opening files.

    Returns:
        The tiles that have all parts, in natural order of their ids; and id -> missing parts of the others.

    Raises:
        ValueError: A folder is missing, two files belong to one part of a tile, or no tile has all parts.
    """
    if not path.is_dir():
        raise ValueError(f"{path} {'is no folder' if path.exists() else 'does not exist'}: it has to hold {layout}")
    found = {part: _files(path, pattern, layout) for part, pattern in layout.files.items()}
    tiles: list[Tile] = []
    absent: dict[str, str] = {}
    for key in sorted(set().union(*found.values()), key=_natural):
        parts = {part: files[key] for part, files in found.items() if key in files}
        tile_id = next(iter(parts.values()))[0]
        if missing := [name.replace("<id>", tile_id) for part, name in layout.files.items() if part not in parts]:
            absent[tile_id] = f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        else:
            tiles.append(Tile(tile_id, {part: file for part, (_, file) in parts.items()}))
    if not tiles:
        counts = ", ".join(f"{len(files)} of {part}" for part, files in found.items())
        raise ValueError(f"{path} holds no complete tile ({counts}): {layout} are needed")
    return tiles, absent


def _files(path: Path, pattern: str, layout: TileLayout) -> dict[str, tuple[str, Path]]:
    """Id in lower case -> id as it is spelled, and file."""
    *folders, name = pattern.split("/")
    folder = path
    for wanted in folders:
        there = [child for child in _names(folder) if child.lower() == wanted.lower() and (folder / child).is_dir()]
        if len(there) > 1:
            raise ValueError(f"{folder} holds {' and '.join(sorted(there))}, which mean the same: keep one")
        if not there:
            raise ValueError(f"{folder} holds no folder {wanted}: {path} has to hold {layout}")
        folder /= there[0]
    shape = re.compile(re.escape(name).replace("<id>", "(.+)") + "f?", re.IGNORECASE)
    files: dict[str, tuple[str, Path]] = {}
    for child in _names(folder):
        if match := shape.fullmatch(child):
            tile_id, file = files.setdefault(match[1].lower(), (match[1], folder / child))
            if file.name != child:
                raise ValueError(f"{folder} holds {file.name} and {child}, which both mean tile {tile_id}: keep one")
    return files


def _names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError as error:
        raise ValueError(f"{folder} cannot be listed: {error.strerror}") from error


def _natural(key: str) -> tuple[list[int | str], str]:
    """Sort key that puts p2 before p10, and has a fixed order for names that differ only in leading zeros."""
    return [int(word) if word.isdecimal() else word for word in re.split(r"(\d+)", key)], key
