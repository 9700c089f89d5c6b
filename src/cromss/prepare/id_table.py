"""The table that names the locations of SSL4EO-S12 with labels of all seasons: ``id, sub1, sub2, sub3, sub4``."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from cromss.io.cells import open_csv
from cromss.io.plain import listed, shown

LONGEST_ID = 7


def read_ids(path: Path, seasons: int) -> Mapping[int, tuple[str, ...]]:
    """Reads the table.

    Args:
        path: CSV of id and the names of its season folders, with or without a header.
        seasons: Number of seasons T.

    Returns:
        Id -> names of its season folders, in the order of the ids.

    Raises:
        ValueError: It is missing or empty, or rows are invalid or repeat an id; the lines are named.
    """
    try:
        table_rows = enumerate(csv.reader(open_csv(path)), start=1)
        rows = [(number, [cell.strip() for cell in row]) for number, row in table_rows]
    except (OSError, ValueError, csv.Error) as error:
        raise ValueError(f"ids={path} cannot be read ({error}): it is a CSV of id, sub1, … sub{seasons}") from error
    rows = [(number, row) for number, row in rows if any(row)]
    if rows and not _is_id(rows[0][1][0]):
        rows = rows[1:]  # its header
    lines: dict[int, int] = {}
    table: dict[int, tuple[str, ...]] = {}
    problems = []
    for number, row in rows:
        if not _is_id(row[0]):
            problems.append(f"line {number}: id {shown(repr(row[0]))} is no number of up to {LONGEST_ID} digits")
        elif len(row) != seasons + 1 or not all(row):
            problems.append(f"line {number}: {len([cell for cell in row[1:] if cell])} seasons, {seasons} are needed")
        elif int(row[0]) in table:
            problems.append(f"line {number}: id {row[0]} is already in line {lines[int(row[0])]}")
        else:
            lines[int(row[0])] = number
            table[int(row[0])] = tuple(row[1:])
    if problems:
        raise ValueError(f"ids={path} is no table of id, sub1, … sub{seasons}:{listed(problems)}")
    if not table:
        raise ValueError(f"ids={path} holds no row: a row is id, sub1, … sub{seasons}")
    return dict(sorted(table.items()))


def _is_id(cell: str) -> bool:
    return re.fullmatch(rf"[0-9]{{1,{LONGEST_ID}}}", cell) is not None
