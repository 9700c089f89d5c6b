"""Text in tables that other programs open: none of it becomes a formula, a link or a command there."""

from __future__ import annotations

import re
from typing import Any

from cromss.io.plain import printable

_FORMULA = re.compile(r"[=+@\-\t\r]")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-](?:nan|inf)", re.ASCII)
_MARKDOWN = re.compile(r"([\\`*<>\[\]|])")


def csv_cell(value: Any) -> Any:
    """A cell of a CSV: a text that spreadsheets would compute begins with an apostrophe; numbers stay as they are."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if _FORMULA.match(value) and not _NUMBER.fullmatch(value) else text


def markdown(text: str) -> str:
    """A text on one line of Markdown, in a table or elsewhere, with nothing in it that makes a link, HTML or a cell."""
    return _MARKDOWN.sub(r"\\\1", printable(text))
