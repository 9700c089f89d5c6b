"""Types of the text in a run's files: bounded, and safe to show."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

from cromss.io.plain import printable

Text = Annotated[str, StringConstraints(max_length=4096), AfterValidator(printable)]
"""Whatever people read; control characters are spelled out."""

PathText = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
"""A path as it was written, not for people."""

Word = Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,64}$")]
"""A name that stands in file names and between slashes."""


def printable_values(value: Any) -> Any:
    """Plain values with every text as `Text` has it, keys included."""
    if isinstance(value, dict):
        return {printable(key): printable_values(child) for key, child in value.items()}
    if isinstance(value, list):
        return [printable_values(child) for child in value]
    return printable(value) if isinstance(value, str) else value
