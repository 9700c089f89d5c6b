"""Typed settings: what the value of each key may be, from which checks, help and the reference page are made.

A program's settings are a class over `Settings`, one field per key with its type, range and docstring. The classes hold
no defaults: these are in the YAML files of ``conf/``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from cromss.io.plain import shown

LARGEST = 2**31 - 1
"""Largest whole number that a setting takes: what torch, NumPy and the file formats count with."""


class Settings(BaseModel):
    """Base of all settings: no value is converted to another type, numbers are finite, unknown keys are refused.

    The docstring below a field is the description of its key. Whole numbers are taken for numbers with a fraction, but
    neither ``true`` nor text is taken for a number.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        extra="forbid",
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


@dataclass(frozen=True)
class Means:
    """Says in words what an annotated type allows, where its constraints alone do not.

    Attributes:
        text: Completes "must be ...", e.g. ``"a colour as #419bdf"``.
    """

    text: str


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character NUL")
    return text


Share = Annotated[float, Field(ge=0, le=1)]
"""A number in [0, 1]."""

Positive = Annotated[float, Field(gt=0)]
"""A number above 0."""

NonNegative = Annotated[float, Field(ge=0)]
"""A number of at least 0."""

Count = Annotated[int, Field(ge=1, le=LARGEST)]
"""A whole number of at least 1."""

CountOrZero = Annotated[int, Field(ge=0, le=LARGEST)]
"""A whole number of at least 0."""

Seed = Annotated[int, Field(ge=0, le=LARGEST)]
"""Start of a random sequence."""

Text = Annotated[str, Field(min_length=1), AfterValidator(_without_nul), Means("text that is not empty")]
"""Text that is not empty."""

PathText = Annotated[
    Annotated[str, Field(min_length=1), AfterValidator(_without_nul)] | Annotated[int, Field(ge=0)], Means("a path")
]
"""A path; a folder called 2020 comes from the command line as a number."""


def problems_of(model: type[Settings], values: Mapping[Any, Any], prefix: str = "") -> list[str]:
    """What is wrong with the values of settings: one sentence per key, in the order of the keys.

    Args:
        model: The class that describes the settings.
        values: Key -> value, plain dictionaries, lists and scalars.
        prefix: Dotted key under which the settings are, e.g. ``"trainer"``; empty for the top level.

    Returns:
        Sentences with the dotted key, the value as typed, and what is allowed; for unknown keys the closest known ones.
    """
    try:
        model.model_validate(dict(values))
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
    else:
        return []
    outer = (prefix,) if prefix else ()
    sentences: dict[str, str] = {}
    for problem in found:
        path, hint, known = _located(model, problem["loc"])
        key = shown(".".join((*outer, *path)))
        known = [".".join((*outer, name)) for name in known]
        sentences.setdefault(key, _sentence(problem, key, _value_at(values, path), hint, known))
    order = {key: number for number, key in enumerate(model.model_fields)}
    skipped = len(prefix) + 1 if prefix else 0
    return [
        sentences[key] for key in sorted(sentences, key=lambda key: order.get(key[skipped:].split(".")[0], len(order)))
    ]


def allowed(hint: Any, metadata: Sequence[Any] = ()) -> str:
    """What values an annotation allows, in words that complete "must be ...".

    Args:
        hint: Type annotation of a field.
        metadata: Constraints that pydantic took off the annotation.
    """
    if get_origin(hint) is Annotated:
        hint, *more = get_args(hint)
        metadata = [*more, *metadata]
    metadata = [part for entry in metadata for part in getattr(entry, "metadata", None) or [entry]]
    if said := next((entry.text for entry in metadata if isinstance(entry, Means)), None):
        return said
    kind = get_origin(hint)
    if kind in (Union, UnionType):
        # null last, and values that are words together.
        members = sorted(get_args(hint), key=lambda member: member is NoneType)
        return ", or ".join(dict.fromkeys(allowed(member) for member in members))
    if kind is Literal:
        return _one_of(get_args(hint))
    if kind is list:
        return f"a list{_length(metadata)}, each {allowed(*get_args(hint))}"
    if kind is dict:
        return f"keys with values, each {allowed(get_args(hint)[1])}"
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return f"keys with values: {', '.join(hint.model_fields)}"
    words = {bool: "true or false", str: "text", NoneType: "null", int: "a whole number", float: "a number"}
    return words.get(hint, "a value") + (_range(metadata) if hint in (int, float) else "")


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
    return value if isinstance(value, str) and value.strip() else repr(value)


def did_you_mean(key: str, known: Collection[str], otherwise: str = "") -> str:
    """Which known keys come close to an unknown one, as the end of a sentence.

    Args:
        key: Dotted.
        known: Dotted keys.
        otherwise: The end of the sentence where none comes close.
    """
    by_last_part: dict[str, list[str]] = {}
    for other in known:
        by_last_part.setdefault(other.rsplit(".", 1)[-1], []).append(other)
    alike = difflib.get_close_matches(key.rsplit(".", 1)[-1], by_last_part, n=3)
    # Of several keys with the same last part, the one whose groups are alike comes first.
    close = [other for part in alike for other in difflib.get_close_matches(key, by_last_part[part], n=2, cutoff=0)]
    close = close[:3] or difflib.get_close_matches(key, known, n=3, cutoff=0.75)
    return f"did you mean {' or '.join(close)}?" if close else otherwise


def _sentence(problem: Any, key: str, value: Any, hint: Any, known: Sequence[str]) -> str:
    kind = problem["type"]
    if kind in ("extra_forbidden", "invalid_key"):
        return f"There is no key {key}: {did_you_mean(key, known, 'there are ' + ', '.join(known))}"
    if kind == "missing":
        return f"{key} has no value: set {key}=..., which must be {allowed(hint)}"
    if kind == "value_error":
        return f"{key}={shown(as_typed(value))} {problem['msg'].removeprefix('Value error, ')}"
    return f"{key}={shown(as_typed(value))} must be {allowed(hint)}"


def _located(model: type[Settings], location: Sequence[Any]) -> tuple[tuple[str, ...], Any, list[str]]:
    """The path of the key that a problem is about, its annotation, and the keys known beside it.

    Pydantic also names the member of a union that it tried, and the position in a list: neither is part of a key.
    """
    path: tuple[str, ...] = ()
    hint: Any = model
    known: list[str] = []
    for part in location:
        inner = _plain(hint)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            known = [".".join((*path, name)) for name in inner.model_fields]
            path = (*path, str(part))
            if part not in inner.model_fields:
                return path, None, known
            hint = _hint(inner, part)
        elif get_origin(inner) is dict and part != "[key]":
            path = (*path, str(part))
            hint = get_args(inner)[1]
        else:
            break
    return path, hint, known


@cache
def _hint(model: type[BaseModel], name: str) -> Any:
    field = model.model_fields[name]
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def _plain(hint: Any) -> Any:
    """An annotation without its constraints, and without null beside another type."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        members = [member for member in get_args(hint) if member is not NoneType]
        return _plain(members[0]) if len(members) == 1 else hint
    return hint


def _value_at(values: Any, path: Sequence[str]) -> Any:
    for part in path:
        if not isinstance(values, Mapping):
            return None
        values = next((value for key, value in values.items() if str(key) == part), None)
    return values


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


def keys_of(model: type[Settings], prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Dotted key, annotation and description of each setting, nested ones after the setting that holds them."""
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}" if prefix else name
        hint = _hint(model, name)
        yield key, hint, " ".join((field.description or "").split())
        inner = _plain(hint)
        if isinstance(inner, type) and issubclass(inner, Settings):
            yield from keys_of(inner, key)
