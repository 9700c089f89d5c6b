"""Reads files as data: bounded, plain values in typed records, never composed or instantiated.

Every reader of an untrusted file does the same steps: `read_file` reads the bytes, `read_json`
or `read_yaml` makes plain values of them (or `check_plain` looks at values that a safe unpickler made), and `parse`
makes a typed record of the values. Mistakes raise a `NotPlainError` of one sentence.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

RecordType = TypeVar("RecordType", bound="Record")

ENTRY = "entry"
"""Type of an error of pydantic about several entries of a table; its context names one of them as ``entry``."""

LONGEST_SHOWN = 120
"""Characters of a value that a message repeats."""


class NotPlainError(ValueError):
    """The content of a file is not as expected; the message is only the reason, without the file name."""


@dataclass(frozen=True)
class Limits:
    """Limits of the content of a file.

    Attributes:
        size: Bytes.
        depth: Levels of lists and dictionaries within each other.
        values: Numbers, strings, lists and dictionaries in all.
        text: Characters of one string.
    """

    size: int = 64 * 2**20
    depth: int = 32
    values: int = 2_000_000
    text: int = 2**20


USUAL = Limits()


class Record(BaseModel):
    """Base of the typed records: no value is converted to another type, numbers are finite, nothing can be changed.

    Keys that a record does not name are ignored, so that files of later versions can be read; a record that refuses
    them sets ``extra="forbid"``.
    """

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False, extra="ignore", protected_namespaces=())


def read_file(path: Path, limits: Limits = USUAL) -> bytes:
    """The bytes of a regular file; what is a pipe, a device or too large is refused before a byte is read.

    Raises:
        FileNotFoundError: There is none.
        NotPlainError: It is no regular file, or larger than `limits.size`.
        OSError: It cannot be read.
    """
    # Non-blocking: opening a pipe would otherwise wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotPlainError("it is not a regular file")
        if status.st_size > limits.size:
            raise NotPlainError(
                f"it has {status.st_size} bytes, more than the {limits.size} that are read of such files"
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            # One byte more: the file may grow while it is read.
            content = file.read(limits.size + 1)
    finally:
        os.close(descriptor)
    if len(content) > limits.size:
        raise NotPlainError(f"it has more than the {limits.size} bytes that are read of such files")
    return content


def read_json(content: bytes | memoryview, limits: Limits = USUAL) -> Any:
    """Plain values of a JSON text.

    Raises:
        NotPlainError: It is too large or too deep, is not UTF-8 or not JSON, names a key twice, or holds NaN or
            numbers that are not finite.
    """
    text = _decoded(content, limits)
    try:
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
    except RecursionError as error:
        raise NotPlainError(f"it is nested more than {limits.depth} levels deep") from error
    except NotPlainError:
        raise
    except ValueError as error:  # also a whole number of more digits than Python converts
        raise NotPlainError(f"it is not JSON: {error}") from error
    check_plain(value, limits)
    return value


def read_yaml(content: bytes | memoryview, limits: Limits = USUAL) -> Any:
    """Plain values of a YAML text with one document.

    Tags, anchors and aliases are refused, as no program here writes any: they could name types to build, or multiply a
    short file to gigabytes.

    Raises:
        NotPlainError: It is too large or too deep, is not UTF-8 or not YAML, names a key twice, or uses what is
            refused.
    """
    text = _decoded(content, limits)
    depth = values = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
                raise NotPlainError("it holds anchors or aliases (& or *), which are refused")
            if (tag := getattr(event, "tag", None)) is not None:
                raise NotPlainError(f"it holds the tag {shown(tag)}, which is refused")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            values += isinstance(event, yaml.NodeEvent)
            if depth > limits.depth or values > 2 * limits.values:
                raise NotPlainError(
                    f"it is nested more than {limits.depth} levels deep"
                    if depth > limits.depth
                    else f"it holds more than {limits.values} values"
                )
        value = yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise NotPlainError(f"it is not YAML: {_one_line(error)}") from error
    except NotPlainError:
        raise
    except (ValueError, TypeError, AttributeError) as error:  # numbers and keys that the constructor cannot make
        raise NotPlainError(f"it is not YAML of plain values: {_one_line(error)}") from error
    check_plain(value, limits)
    return value


def check_plain(value: Any, limits: Limits = USUAL, leaves: tuple[type, ...] = ()) -> None:
    """Makes sure that a value consists of None, booleans, finite numbers, strings, lists and dictionaries of strings.

    Args:
        value: What a parser or a safe unpickler made. Tuples count as lists.
        limits: How much it may hold.
        leaves: Further types whose values are allowed, such as tensors, and are checked by the caller.

    Raises:
        NotPlainError: It holds anything else, refers to itself, or exceeds the limits.
    """
    # Not recursive, as what is too deep must not exhaust the stack of the check itself.
    left = [(value, 0)]
    count = 0
    while left:
        node, depth = left.pop()
        count += 1
        if count > limits.values:
            raise NotPlainError(f"it holds more than {limits.values} values")
        if depth > limits.depth:
            raise NotPlainError(f"it is nested more than {limits.depth} levels deep")
        if type(node) is dict:
            for key in node:
                if type(key) is not str:
                    raise NotPlainError(f"it has the key {shown(key)}, which is not a string")
                _check_text(key, limits)
            left += [(child, depth + 1) for child in node.values()]
        elif type(node) in (list, tuple):
            left += [(child, depth + 1) for child in node]
        elif type(node) is str:
            _check_text(node, limits)
        elif type(node) is float:
            if not math.isfinite(node):
                raise NotPlainError(f"it holds {node}, which is not a finite number")
        elif type(node) is int:
            if node.bit_length() > 64:
                raise NotPlainError("it holds a whole number of more than 64 bits")
        elif node is not None and type(node) is not bool and type(node) not in leaves:
            raise NotPlainError(f"it holds a value of type {type(node).__name__}, which is not plain data")


def parse(record: type[RecordType], value: Any, limits: Limits = USUAL, leaves: tuple[type, ...] = ()) -> RecordType:
    """Makes a typed record of plain values; for `limits` and `leaves` see `check_plain`.

    Raises:
        NotPlainError: `value` is not plain, a key is missing, or a value is of another type or out of its range; the
            message names the first of them by its dotted key.
    """
    check_plain(value, limits, leaves)
    if type(value) is not dict:
        raise NotPlainError(f"it holds {kind_of(value)} where keys with values are expected")
    try:
        return record.model_validate(value)
    except ValidationError as error:
        raise NotPlainError(first_problem(error)) from error


def first_problem(error: ValidationError) -> str:
    """The first problem that pydantic found, as a sentence: dotted key, value, and what is allowed."""
    problem = error.errors(include_url=False)[0]
    location, value = problem["loc"], problem["input"]
    if problem["type"] == ENTRY:
        location, value = (*location, problem["ctx"]["entry"]), value[problem["ctx"]["entry"]]
    key = shown(".".join(str(part) for part in location) or "it")
    if problem["type"] == "missing":
        return f"the key {key} is missing"
    reason = problem["msg"].removeprefix("Value error, ").rstrip(".")
    reason = f"it {reason.removeprefix('Input ')}" if reason.startswith("Input ") else reason
    return f"{key} is {shown(repr(value))}: {reason}"


def literal(value: Any) -> Any:
    """A plain value that may be put into an OmegaConf config; NotPlainError where a string of it would be resolved."""
    left = [value]
    while left:
        node = left.pop()
        if isinstance(node, Mapping):
            left += [*node.keys(), *node.values()]
        elif isinstance(node, list | tuple):
            left += node
        elif isinstance(node, str) and ("${" in node or node == "???"):
            raise NotPlainError(
                f"it holds {shown(node)}, which a config would resolve: a file has to hold plain values"
            )
    return value


def shown(value: Any) -> str:
    """A value as messages repeat it: on one line, cut where it is long, without control characters."""
    text = value if isinstance(value, str) else repr(value)
    text = printable(text[: LONGEST_SHOWN + 1])
    return f"{text[:LONGEST_SHOWN]}…" if len(text) > LONGEST_SHOWN else text


class Messages(list[str]):
    """The first of many messages.

    Args:
        most: How many to keep.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self.total = 0

    def add(self, message: str) -> None:
        """Counts one and keeps it while there is room."""
        self.total += 1
        if len(self) < self._most:
            self.append(message)

    def lines(self) -> list[str]:
        """Those that were kept, and how many more there are."""
        return [*self, f"… and {self.total - len(self)} more"] if self.total > len(self) else list(self)


def listed(lines: Sequence[str], total: int | None = None, most: int = 20) -> str:
    """Lines of a message, indented: the first `most` of them, and how many more there are of `total`, or of all."""
    shown_lines = lines[:most]
    more = (len(lines) if total is None else total) - len(shown_lines)
    return "".join(f"\n  {line}" for line in [*shown_lines, *([f"… and {more} more"] if more > 0 else [])])


def printable(text: str, keep: str = "") -> str:
    """A text in which control characters, such as those of terminals, are replaced by escape codes.

    Args:
        text: Any.
        keep: Control characters that stay, such as line breaks.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else repr(one)[1:-1] for one in text)


def kind_of(value: Any) -> str:
    """Name of the kind of a plain value, for messages."""
    names = {dict: "keys with values", list: "a list", tuple: "a list", str: "text", bool: "true or false"}
    return "nothing" if value is None else names.get(type(value), "a number")


def _decoded(content: bytes | memoryview, limits: Limits) -> str:
    if len(content) > limits.size:
        raise NotPlainError(f"it has {len(content)} bytes, more than the {limits.size} that are read of such files")
    try:
        return bytes(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotPlainError(f"it is not UTF-8 text: {error}") from error


def _check_text(text: str, limits: Limits) -> None:
    if len(text) > limits.text:
        raise NotPlainError(f"it holds a text of {len(text)} characters, more than the {limits.text} that are allowed")
    # JSON can contain half of a surrogate pair, which cannot be encoded as UTF-8.
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise NotPlainError("it holds text with half of a surrogate pair")


def _refuse_constant(name: str) -> NoReturn:
    raise NotPlainError(f"it holds {name}, which is not a finite number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise NotPlainError(f"it holds {shown(digits)}, which is not a finite number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise NotPlainError(f"it names the key {shown(_first_repeated([key for key, _ in pairs]))} twice")
    return content


def _first_repeated(keys: list[str]) -> str:
    counts = Counter(keys)
    return next(key for key in keys if counts[key] > 1)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


class _PlainLoader(yaml.CSafeLoader):
    """YAML as OmegaConf writes it: 1e-8 is a number, dates are text, and a key occurs once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if any(type(key) is not str for key in keys):
            raise NotPlainError(
                f"it has the key {shown(next(k for k in keys if type(k) is not str))}, which is not a string"
            )
        if len(set(keys)) < len(keys):
            raise NotPlainError(f"it names the key {shown(_first_repeated(keys))} twice")
        return super().construct_mapping(node, deep=deep)


_FLOAT = re.compile(
    r"^(?:[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)"
    r"|[-+]?\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_PlainLoader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        # Dates, merge keys (<<) and base-60 numbers are text.
        if tag in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$"), list("-+0123456789")
)
