"""The table of Dynamic World tiles: their grids and dates."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, AllowInfNan, BaseModel, ConfigDict, Field, ValidationError
from rasterio import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError

from cromss.io.cells import open_csv
from cromss.io.plain import NotPlainError, first_problem

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Tile:
    """One tile.

    Attributes:
        id: ``dw_id`` without a leading ``dw_``: the end of its file names.
        date: Day of its image.
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


def _named(text: str) -> str:
    # It becomes part of a file name, so it must not lead to another folder.
    match = re.fullmatch(r"(?:dw_)?([\w.+-]{1,200}-[0-9]{8})", text)
    try:
        if match is not None and datetime.strptime(match[1][-8:], "%Y%m%d"):
            return match[1]
    except ValueError:
        pass
    raise ValueError("must end in -YYYYMMDD, its day")


def _projected(text: str) -> str:
    code = text.upper().removeprefix("EPSG:").removesuffix(".0")
    try:
        if re.fullmatch("[0-9]{1,9}", code) and CRS.from_epsg(int(code)).is_projected:
            return f"EPSG:{code}"
    except CRSError:
        pass
    raise ValueError("must be the EPSG code of a projection, e.g. 32633")


_Metres = Annotated[float, AllowInfNan(False)]
_Pixels = Annotated[int, Field(ge=1, le=10_000)]


class _Row(BaseModel):
    """The columns that are read; others, such as hemisphere, biome, center_lon and center_lat, are ignored."""

    model_config = ConfigDict(str_strip_whitespace=True)

    dw_id: Annotated[str, AfterValidator(_named)]
    crs: Annotated[str, AfterValidator(_projected)]
    bound1: _Metres
    bound2: _Metres
    bound3: _Metres
    bound4: _Metres
    height: _Pixels
    width: _Pixels
    bbox1: _Metres
    bbox2: _Metres
    bbox3: _Metres
    bbox4: _Metres

    def box(self, name: str) -> Box:
        """Left, bottom, right, top; ValueError unless they are in this order."""
        left, bottom, right, top = (getattr(self, f"{name}{side}") for side in range(1, 5))
        for low, high, column in ((left, right, f"{name}3"), (bottom, top, f"{name}4")):
            if high <= low:
                raise ValueError(f"{column} is {high:g}: it must be more than {low:g}: left, bottom, right, top")
        return left, bottom, right, top


COLUMNS = tuple(_Row.model_fields)


def read_tiles(path: Path) -> list[Tile]:
    """Reads the table.

    Args:
        path: CSV with a header that names at least `COLUMNS`.

    Returns:
        Its tiles, in its order.

    Raises:
        ValueError: It cannot be read, a column is missing, there is no row, a value is invalid, or an id occurs twice;
            the message names the line, column and value of the first mistake.
    """
    tiles: dict[str, Tile] = {}
    try:
        rows = csv.DictReader(open_csv(path), skipinitialspace=True)
        if missing := [column for column in COLUMNS if column not in (rows.fieldnames or ())]:
            raise ValueError(f"{path}, line 1: the columns {', '.join(missing)} are missing")
        for row in rows:
            where = f"{path}, line {rows.line_num}, column"
            tile = _tile({column: row[column] or "" for column in COLUMNS}, where)
            if tile.id in tiles:
                raise ValueError(f"{where} dw_id: {tile.id} occurs twice")
            tiles[tile.id] = tile
    except (OSError, NotPlainError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"download.tiles={path} cannot be read ({error}): it is a CSV with {', '.join(COLUMNS)}"
        ) from error
    if not tiles:
        raise ValueError(f"{path} holds no tile: a row is {', '.join(COLUMNS)}")
    return list(tiles.values())


def _tile(cells: dict[str, str], where: str) -> Tile:
    try:
        row = _Row.model_validate(cells)
        bounds, mercator = row.box("bound"), row.box("bbox")
    except ValidationError as error:
        raise ValueError(f"{where} {first_problem(error)}") from error
    except ValueError as error:
        raise ValueError(f"{where} {error}") from error
    day = datetime.strptime(row.dw_id[-8:], "%Y%m%d").date()
    return Tile(row.dw_id, day, row.crs, bounds, mercator, row.height, row.width)
