"""The table of Dynamic World tiles: where they lie and when they were seen."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError

from cromss.io.plain import NotPlainError, read_file, shown
from cromss.prepare.id_table import LARGEST_TABLE

Box = tuple[float, float, float, float]

COLUMNS = (
    "dw_id", "crs", "bound1", "bound2", "bound3", "bound4", "height", "width", "bbox1", "bbox2", "bbox3", "bbox4"
)  # fmt: skip
"""Columns that are read; hemisphere, biome, center_lon and center_lat, which are there too, are not needed."""
_MOST_PIXELS = 10_000


@dataclass(frozen=True)
class Tile:
    """One tile.

    Attributes:
        id: ``dw_id`` without a leading ``dw_``: what file names end in.
        date: Day it was seen.
        crs: ``EPSG:<code>`` of its grid, UTM.
        bounds: Left, bottom, right, top in that CRS, metres.
        mercator: The same in EPSG:3857.
        height: Pixels.
        width: Pixels.
    """

    id: str
    date: date
    crs: str
    bounds: Box
    mercator: Box
    height: int
    width: int

    @property
    def transform(self) -> Affine:
        """Column and row of a pixel's corner -> coordinates in the tile's CRS."""
        return grid(self.bounds, self.height, self.width)


def grid(box: Box, height: int, width: int) -> Affine:
    """The north-up grid of ``height x width`` pixels that fills a box (left, bottom, right, top)."""
    left, bottom, right, top = box
    return Affine((right - left) / width, 0, left, 0, (bottom - top) / height, top)


def read_tiles(path: Path) -> list[Tile]:
    """Reads the table.

    Args:
        path: CSV with a header that names at least `COLUMNS`.

    Returns:
        Its tiles, in its order.

    Raises:
        ValueError: It cannot be read, lacks a column or any row, or a value is not allowed or an id is there twice; the
            first mistake is told with line, column and value.
    """
    tiles: dict[str, Tile] = {}
    try:
        text = io.StringIO(read_file(path, LARGEST_TABLE).decode("utf-8-sig"), newline="")
        rows = csv.DictReader(text, skipinitialspace=True)
        if lacking := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise ValueError(f"{path}, line 1 lacks the columns {', '.join(lacking)}")
        for row in rows:
            tile = _tile(row, f"{path}, line {rows.line_num}")
            if tile.id in tiles:
                raise ValueError(f"{path}, line {rows.line_num}, column dw_id: {tile.id} is there twice")
            tiles[tile.id] = tile
    except (OSError, NotPlainError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"download.tiles={path} cannot be read ({error}): it is a CSV with {', '.join(COLUMNS)}"
        ) from error
    if not tiles:
        raise ValueError(f"{path} holds no tile: a row is {', '.join(COLUMNS)}")
    return list(tiles.values())


def _tile(row: dict[str, str | None], where: str) -> Tile:
    cells = {column: (row[column] or "").strip() for column in COLUMNS}
    # Part of a file name: nothing that leads to another folder.
    if not (match := re.fullmatch(r"(?:dw_)?([\w.+-]{1,200}-([0-9]{8}))", cells["dw_id"])) or not (
        day := _date(match[2])
    ):
        raise ValueError(f"{where}, column dw_id: {shown(repr(cells['dw_id']))} must end in -YYYYMMDD, its day")
    return Tile(
        id=match[1],
        date=day,
        crs=_crs(cells, where),
        bounds=_box(cells, "bound", where),
        mercator=_box(cells, "bbox", where),
        height=_pixels(cells, "height", where),
        width=_pixels(cells, "width", where),
    )


def _date(digits: str) -> date | None:
    try:
        return datetime.strptime(digits, "%Y%m%d").date()
    except ValueError:
        return None


def _crs(cells: dict[str, str], where: str) -> str:
    code = cells["crs"].upper().removeprefix("EPSG:").removesuffix(".0")
    try:
        if re.fullmatch("[0-9]{1,9}", code) and CRS.from_epsg(int(code)).is_projected:
            return f"EPSG:{code}"
    except CRSError:
        pass
    raise ValueError(
        f"{where}, column crs: {shown(repr(cells['crs']))} must be the EPSG code of a projection, e.g. 32633"
    )


def _box(cells: dict[str, str], name: str, where: str) -> Box:
    left, bottom, right, top = (_number(cells, f"{name}{side}", where) for side in range(1, 5))
    for low, high, column in ((left, right, f"{name}3"), (bottom, top, f"{name}4")):
        if high <= low:
            raise ValueError(f"{where}, column {column}: {high:g} must be more than {low:g}: left, bottom, right, top")
    return left, bottom, right, top


def _number(cells: dict[str, str], column: str, where: str) -> float:
    try:
        if math.isfinite(value := float(cells[column])):
            return value
    except ValueError:
        pass
    raise ValueError(f"{where}, column {column}: {shown(repr(cells[column]))} must be a number of metres")


def _pixels(cells: dict[str, str], column: str, where: str) -> int:
    text = cells[column].removesuffix(".0")
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= _MOST_PIXELS:
        raise ValueError(
            f"{where}, column {column}: {shown(repr(cells[column]))} must be a number of pixels, 1 to {_MOST_PIXELS}"
        )
    return int(text)
