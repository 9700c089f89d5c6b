"""Reads the JSON and YAML files of a run's folder as bounded plain data, whose text is safe to show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, StringConstraints

from cromss.io.plain import Limits, NotPlainError, Record, parse, printable, read_file, read_json, read_yaml, shown

Text = Annotated[str, StringConstraints(max_length=4096), AfterValidator(printable)]
"""Text that people read; control characters are replaced by their escape codes."""

PathText = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
"""A path exactly as it was written, not for display."""

Word = Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,64}$")]
"""A name that is safe as part of a file name or of a metric name."""


def printable_values(value: Any) -> Any:
    """Plain values in which every text, keys included, is safe to show, see `Text`."""
    if isinstance(value, dict):
        return {printable(key): printable_values(child) for key, child in value.items()}
    if isinstance(value, list):
        return [printable_values(child) for child in value]
    return printable(value) if isinstance(value, str) else value


RecordType = TypeVar("RecordType", bound=Record)

LIMITS = Limits(size=2**20, values=50_000, text=2**16)
"""Limits of one JSON or YAML file: about fifty times what a run writes; reading takes a fraction of a second."""


def read_json_record(
    path: Path, record: type[RecordType], version: int | None = None, limits: Limits = LIMITS
) -> RecordType:
    """Reads a JSON file into a typed record.

    Args:
        path: The file.
        record: Type of its content.
        version: Version of the layout, stored under the key ``format``; None where the layout has none.
        limits: Largest size and number of values.

    Raises:
        NotPlainError: It is damaged, or of another version; the message is the reason alone.
        OSError: It cannot be read.
    """
    found = read_json(read_file(path, limits), limits)
    if version is not None:
        _check_version(found, version)
    return parse(record, found, limits)


def read_yaml_values(path: Path) -> dict[str, Any]:
    """Reads a YAML file such as `config.yaml` into plain dictionaries, lists, numbers and printable text.

    Raises:
        NotPlainError: It is damaged; the message is the reason alone.
        OSError: It cannot be read.
    """
    found = read_yaml(read_file(path, LIMITS), LIMITS)
    if not isinstance(found, dict):
        raise NotPlainError(f"it holds {shown(repr(found))} where keys with values are expected")
    values: dict[str, Any] = printable_values(found)
    return values


def _check_version(found: Any, version: int) -> None:
    if not isinstance(found, dict) or "format" not in found:
        raise NotPlainError("it names no format")
    if type(found["format"]) is not int or found["format"] != version:
        raise NotPlainError(f"it is of format {shown(repr(found['format']))}, and this program reads {version}")
