"""Typed settings: the allowed values of each key, for checks, help and the reference page.

A program's settings are a class over `Settings`, one field per key with its type, range and docstring. The classes hold
no defaults: these are in the YAML files of ``conf/``.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from cromss.config.words import LARGEST, Means, allowed, as_typed, choices_of, did_you_mean
from cromss.io.plain import ENTRY, shown
from cromss.io.redact import redact


class Problem(NamedTuple):
    """A mistake in one key.

    Attributes:
        key: Dotted.
        sentence: Names the key, the value and what is allowed.
    """

    key: str
    sentence: str


class Settings(BaseModel):
    """Base of all settings: values are not converted to other types, numbers are finite, unknown keys are refused.

    The docstring below a field is the description of its key. A field for a float accepts integers, but no
    field for a number accepts ``true`` or text.
    """

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        extra="forbid",
        protected_namespaces=(),
        use_attribute_docstrings=True,
    )


def part_of(model: type[BaseModel], *names: str, **renamed: str) -> type[Settings]:
    """The settings of an object that is built from settings of a group, so that each type is written once.

    Args:
        model: Describes the group.
        *names: Settings that it takes under the same name.
        **renamed: Other arguments, by the setting that each takes.
    """
    taken = {**dict(zip(names, names, strict=True)), **renamed}
    return create_model(
        f"{model.__name__}Part",
        __base__=Settings,
        **{name: (_hint(model, key), ...) for name, key in taken.items()},  # type: ignore[call-overload]
    )


def _without_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold the character NUL")
    return text


def _local(text: str) -> str:
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text):
        raise ValueError("is an address, and this key takes a path of this machine: download it, and give its path")
    return text


LITERAL = "taken literally"
"""Marks a type of paths, addresses or names of files: a command line hands them over as they were typed."""

OPTIONAL: Any = Field(default=None)
"""Default of a field whose key may be left out; the value is never read."""

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

NumClasses = Annotated[int, Field(ge=2, le=255)]
"""Number of classes."""

Seconds = Annotated[float, Field(gt=0, le=1e7)]
"""A duration."""

Part = Annotated[dict[str, Any], Means("keys with values, among them _target_")]
"""Something that is built, and its arguments."""

Text = Annotated[str, Field(min_length=1), AfterValidator(_without_nul), Means("non-empty text")]
"""Non-empty text."""

_Number = Annotated[int, Field(ge=0, le=LARGEST)]

PathText = Annotated[
    Annotated[str, Field(min_length=1), AfterValidator(_without_nul), AfterValidator(_local)] | _Number,
    Means("a path"),
    LITERAL,
]
"""A path of this machine; a folder called 2020 comes from the command line as a number."""

AddressText = Annotated[
    Annotated[str, Field(min_length=1), AfterValidator(_without_nul)] | _Number,
    Means("a path or a URL"),
    LITERAL,
]
"""A path, or the address of a file elsewhere."""


def find_problems(model: type[BaseModel], values: Mapping[Any, Any], prefix: str = "") -> list[Problem]:
    """Finds mistakes in the values of settings: one per key, in the order of the keys.

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
        found = error.errors(include_url=False)
    else:
        return []
    outer = (prefix,) if prefix else ()
    problems: dict[tuple[str, ...], Problem] = {}
    missing: Counter[tuple[str, ...]] = Counter()
    for problem in found:
        # A mistake over several entries is reported for one of them.
        location = (*problem["loc"], *([problem["ctx"]["entry"]] if problem["type"] == ENTRY else []))
        path, hint, known = _located(model, location)
        key = shown(".".join((*outer, *path)))
        known = [".".join((*outer, name)) for name in known]
        value = _value_at(values, path)
        sentence = _sentence(problem, key, value, hint, known) + _entry(value, location[len(path) :])
        problems.setdefault(path, Problem(key, sentence))
        missing[path[:-1]] += problem["type"] == "missing" and bool(path[:-1] or prefix)
    for path in (path for path, count in missing.items() if count > 1):
        # A whole table was replaced: one sentence, not one per missing key.
        key, hint = shown(".".join((*outer, *path))), _located(model, path)[1] if path else model
        problems = {other: problem for other, problem in problems.items() if other[: len(path)] != path}
        value = shown(redact(as_typed(_value_at(values, path))))
        problems[path] = Problem(key, f"{key}={value} must be {allowed(hint)}")
    order = {key: number for number, key in enumerate(fields_of(model))}
    return [problems[path] for path in sorted(problems, key=lambda path: order.get("".join(path[:1]), len(order)))]


def _sentence(problem: Any, key: str, value: Any, hint: Any, known: Sequence[str]) -> str:
    kind = problem["type"]
    if kind in ("extra_forbidden", "invalid_key"):
        return f"There is no key {key}: {did_you_mean(key, known, _listed(known))}"
    if kind == "missing":
        return f"{key} has no value: set {key}=..., which must be {allowed(hint)}"
    if kind == ENTRY:
        return f"{key}={shown(redact(as_typed(value)))} {problem['msg']}"
    if kind == "value_error":
        return f"{key}={shown(redact(as_typed(value)))} {problem['msg'].removeprefix('Value error, ')}"
    sentence = f"{key}={shown(redact(as_typed(value)))} must be {allowed(hint)}"
    close = difflib.get_close_matches(value, choices_of(hint), n=2) if isinstance(value, str) else []
    return f"{sentence}: did you mean {' or '.join(close)}?" if close else sentence


def _entry(value: Any, rest: Sequence[Any]) -> str:
    """Names the entry of a list that a problem is about, as the end of a sentence."""
    number = next((part for part in rest if isinstance(part, int) and not isinstance(part, bool)), None)
    if not isinstance(value, list | tuple) or number is None or number >= len(value) or len(value) == 1:
        return ""
    return f"; entry {number + 1} of {len(value)} is {shown(redact(as_typed(value[number])))}"


def _listed(keys: Sequence[str]) -> str:
    names = [key.rsplit(".", 1)[-1] for key in keys]
    more = ", …" if len(names) > _MOST_LISTED else ""
    return f"there are {', '.join(names[:_MOST_LISTED])}{more}" if names else "there are no keys here"


_MOST_LISTED = 15
"""Most keys that a message lists."""


def _located(model: type[BaseModel], location: Sequence[Any]) -> tuple[tuple[str, ...], Any, list[str]]:
    """The path of the key that a problem is about, its annotation, and the keys known beside it.

    Pydantic adds the member of a union that it tried and the position in a list, which are no parts of a key.
    """
    path: tuple[str, ...] = ()
    hint: Any = model
    known: list[str] = []
    for part in location:
        inner = unannotated(hint)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            known = [".".join((*path, name)) for name in fields_of(inner)]
            path = (*path, str(part))
            if part not in fields_of(inner):
                return path, None, known
            hint = _hint(inner, part)
        elif get_origin(inner) is dict and part != "[key]":
            path = (*path, str(part))
            hint = get_args(inner)[1]
        else:
            break
    return path, hint, known


@cache
def fields_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Fields by their keys, which are their aliases where a key cannot be the name of a field."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


@cache
def _hint(model: type[BaseModel], key: str) -> Any:
    field = fields_of(model)[key]
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


def unannotated(hint: Any) -> Any:
    """An annotation without its constraints, and without null beside another type."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType):
        members = [member for member in get_args(hint) if member is not NoneType]
        return unannotated(members[0]) if len(members) == 1 else hint
    return hint


def _value_at(values: Any, path: Sequence[str]) -> Any:
    for part in path:
        if not isinstance(values, Mapping):
            return None
        values = next((value for key, value in values.items() if str(key) == part), None)
    return values


def keys_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Dotted key, annotation and description of each setting, nested ones after the setting that holds them."""
    for name, field in fields_of(model).items():
        key = f"{prefix}.{name}" if prefix else name
        hint = _hint(model, name)
        yield key, hint, " ".join((field.description or "").split())
        inner = unannotated(hint)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from keys_of(inner, key)
