"""Tables as text: read within bounds, and written so that no text acts as a formula, a link or a command."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

from cromss.io.plain import Limits, printable, read_file

_LARGEST = Limits(size=2**28)
"""Limits: some hundred bytes for each of a million rows."""

_FORMULA = re.compile(r"[=+@\-\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-](?:nan|inf)", re.ASCII)
_MARKDOWN = re.compile(r"([\\`*<>\[\]|])")


def open_csv(path: Path) -> StringIO:
    """The text of a CSV file, for the readers of `csv`; ValueError or OSError as of `read_file`, or if not UTF-8."""
    return StringIO(read_file(path, _LARGEST).decode("utf-8-sig"), newline="")


def csv_cell(value: Any) -> Any:
    """A cell of a CSV: a text that spreadsheets would compute begins with an apostrophe; numbers stay as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else text


def markdown(text: str) -> str:
    """A text on one line of Markdown, in a table or elsewhere, with nothing in it that makes a link, HTML or a cell."""
    return _MARKDOWN.sub(r"\\\1", printable(text))
