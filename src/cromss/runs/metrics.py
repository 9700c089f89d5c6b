"""The one reader of `metrics.csv`."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from cromss.io.plain import Limits, NotPlainError, read_file, shown
from cromss.runs.files import printable_values

LIMITS = Limits(size=32 * 2**20, values=2_000_000, text=200)
"""Limits of the file, its cells and the names of metrics: ten thousand epochs of a hundred metrics fit."""

_MOST_ROWS = 100_000
_MOST_COLUMNS = 10_000
_LARGEST = 1e100
"""Largest value: what float32 can hold, with room for its square."""

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?|[+-]?(?:nan|inf)", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True)
class MetricsTable:
    """The rows of a `metrics.csv`.

    Attributes:
        names: Names of the metrics, without ``epoch`` and ``step``; distinct.
        epochs: One per row, rising, counted from 0.
        steps: One per row; None where a row has none.
        rows: Metric -> value, for each row; metrics without a value are left out. NaN and infinity are values.
    """

    names: Sequence[str]
    epochs: Sequence[int]
    steps: Sequence[int | None]
    rows: Sequence[dict[str, float]]


def read_metrics_table(path: Path) -> MetricsTable:
    """Reads a `metrics.csv`.

    Raises:
        NotPlainError: It is damaged or too large; the message is the reason alone.
        OSError: It cannot be read.
    """
    content = read_file(path, LIMITS)
    # Checked first, as parsing takes longer than counting.
    if content.count(b"\n") > _MOST_ROWS or content.count(b",") > LIMITS.values:
        raise NotPlainError(f"it has more than {_MOST_ROWS} rows, or more than {LIMITS.values} values")
    try:
        text = content.decode("utf-8")
        header, *lines = list(csv.reader(io.StringIO(text, newline=""), strict=True)) or [[]]
    except UnicodeDecodeError as error:
        raise NotPlainError(f"it is not UTF-8 text: {error}") from error
    except csv.Error as error:
        raise NotPlainError(f"it is not CSV: {error}") from error
    header = printable_values(header)
    _check_header(header)
    if any(len(line) != len(header) for line in lines):
        raise NotPlainError("a line has more or fewer values than the first")
    names = [name for name in header if name not in ("epoch", "step")]
    columns = dict(zip(header, zip(*lines, strict=True), strict=True)) if lines else {}
    epochs = [_whole("epoch", cell) for cell in columns.get("epoch", ())]
    if any(later <= earlier for earlier, later in pairwise(epochs)):
        raise NotPlainError("its epochs do not rise")
    steps = [_whole("step", cell) if cell else None for cell in columns.get("step", [""] * len(lines))]
    metrics = [(column, name) for column, name in enumerate(header) if name not in ("epoch", "step")]
    rows = [{name: _number(name, line[column]) for column, name in metrics if line[column]} for line in lines]
    return MetricsTable(names, epochs, steps, rows)


def _check_header(header: Sequence[str]) -> None:
    if "epoch" not in header:
        raise NotPlainError("its first line names no epoch")
    if len(header) > _MOST_COLUMNS:
        raise NotPlainError(f"it has more than {_MOST_COLUMNS} columns")
    if len(set(header)) < len(header) or not all(0 < len(name) <= LIMITS.text for name in header):
        raise NotPlainError(f"names of its columns repeat, are empty or have more than {LIMITS.text} characters")


def _whole(name: str, cell: str) -> int:
    if not _WHOLE.fullmatch(cell):
        raise NotPlainError(f"{name} is {shown(repr(cell))}, not a whole number of at most nine digits")
    return int(cell)


def _number(name: str, cell: str) -> float:
    if not _NUMBER.fullmatch(cell):
        raise NotPlainError(f"{shown(name)} is {shown(repr(cell))}, not a number")
    value = float(cell)
    if math.isfinite(value) and abs(value) > _LARGEST:
        raise NotPlainError(f"{shown(name)} is {shown(cell)}, out of range")
    return value
