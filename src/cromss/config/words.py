"""Keys, values and allowed values as text for messages, the help and the reference page."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic_core import core_schema

LARGEST = 2**31 - 1
"""Largest whole number that a setting takes: what torch, NumPy and the file formats count with."""


@dataclass(frozen=True)
class Means:
    """Describes what an annotated type allows, where its constraints alone are not clear.

    Attributes:
        text: Completes "must be ...", e.g. ``"a colour as #419bdf"``.
    """

    text: str


@dataclass(frozen=True)
class OneOf:
    """Constrains an annotated type to the entries of a table, such as the names of the decoders.

    Attributes:
        choices: Words or numbers.
    """

    choices: Collection[Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A literal, whatever the annotated type."""
        return core_schema.literal_schema(list(self.choices))


_NO_TEXT = re.compile(r"null|true|false|[-+]?(nan|inf|[\d.][\d._]*(e[-+]?\d+)?)", re.IGNORECASE)


def allowed(hint: Any, metadata: Sequence[Any] = ()) -> str:
    """The values that an annotation allows, as text that completes "must be ...".

    Args:
        hint: Type annotation of a field.
        metadata: Constraints that pydantic took off the annotation.
    """
    if get_origin(hint) is Annotated:
        hint, *more = get_args(hint)
        metadata = [*more, *metadata]
    metadata = [part for entry in metadata for part in getattr(entry, "metadata", None) or [entry]]
    for entry in metadata:
        if isinstance(entry, Means):
            return entry.text
        if isinstance(entry, OneOf):
            return _one_of(tuple(entry.choices))
    kind = get_origin(hint)
    if kind in (Union, UnionType):
        # Words together, and null last.
        members = sorted(get_args(hint), key=lambda member: member is NoneType)
        return ", or ".join(dict.fromkeys(allowed(member) for member in members))
    if kind is Literal:
        return _one_of(get_args(hint))
    if kind is list:
        return f"a list{_length(metadata)}, each {allowed(*get_args(hint))}"
    if kind is dict:
        return f"keys with values, each {allowed(get_args(hint)[1])}"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return f"keys with values: {', '.join(field.alias or name for name, field in hint.model_fields.items())}"
    words = {bool: "true or false", str: "text", NoneType: "null", int: "a whole number", float: "a number"}
    return words.get(hint, "a value") + (_range(metadata) if hint in (int, float) else "")


def choices_of(hint: Any) -> list[str]:
    """The words that an annotation names, as the choices of `OneOf` and of literals."""
    kind = get_origin(hint)
    if kind is Literal:
        return [choice for choice in get_args(hint) if isinstance(choice, str)]
    if kind in (Union, UnionType, Annotated):
        return [word for member in get_args(hint) for word in choices_of(member)]
    return [choice for choice in hint.choices if isinstance(choice, str)] if isinstance(hint, OneOf) else []


def as_typed(value: Any) -> str:
    """A plain value as it is written in YAML and on the command line: ``null``, ``true``, ``[1, 2]``, ``{a: 1}``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{as_typed(key)}: {as_typed(child)}' for key, child in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_typed, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, int) and value.bit_length() > 1024:
        return "a number of very many digits"  # Python itself refuses to write it
    if not isinstance(value, str):
        return repr(value)
    # Quotes where YAML would read the same text as another type.
    return f"'{value}'" if not value.strip() or _NO_TEXT.fullmatch(value) else value


def did_you_mean(key: str, known: Collection[str], otherwise: str = "") -> str:
    """Known keys that are similar to an unknown one, as the end of a sentence.

    Args:
        key: Dotted.
        known: Dotted keys.
        otherwise: The end of the sentence where none is similar.
    """
    by_last_part: dict[str, list[str]] = {}
    for other in known:
        by_last_part.setdefault(other.rsplit(".", 1)[-1], []).append(other)
    alike = difflib.get_close_matches(key.rsplit(".", 1)[-1], by_last_part, n=3)
    # Of several keys with the same last part, the one with the most similar groups comes first.
    close = [other for part in alike for other in difflib.get_close_matches(key, by_last_part[part], n=2, cutoff=0)]
    close = close[:3] or difflib.get_close_matches(key, known, n=3, cutoff=0.75)
    return f"did you mean {' or '.join(close)}?" if close else otherwise


def _one_of(choices: Sequence[Any]) -> str:
    words = [as_typed(choice) for choice in sorted(choices, key=lambda choice: choice is None)]
    return words[0] if len(words) == 1 else f"one of {', '.join(words)}"


def _length(metadata: Sequence[Any]) -> str:
    least = max((getattr(entry, "min_length", 0) or 0 for entry in metadata), default=0)
    if not least:
        return ""
    exact = any(getattr(entry, "max_length", None) == least for entry in metadata)
    return f" of {least}" if exact else f" of at least {least}"


def _range(metadata: Sequence[Any]) -> str:
    bounds: dict[str, float] = {}
    for entry in metadata:
        for name, kind in (("ge", Ge), ("gt", Gt), ("le", Le), ("lt", Lt)):
            if isinstance(entry, kind):
                bounds[name] = getattr(entry, name)
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    if low is not None and high is not None and high != LARGEST:
        return f" in {'[' if 'ge' in bounds else '('}{low:.12g}, {high:.12g}{']' if 'le' in bounds else ')'}"
    if low is not None:
        return f" of at least {low:.12g}" if "ge" in bounds else f" above {low:.12g}"
    if high is not None and high != LARGEST:
        return f" of at most {high:.12g}" if "le" in bounds else f" below {high:.12g}"
    return ""
