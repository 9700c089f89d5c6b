"""Paths on a command line: taken literally, whatever characters they hold."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from cromss.config.mistakes import UserError
from cromss.config.programs import settings_of
from cromss.config.settings import LITERAL, Settings, keys_of, unannotated
from cromss.config.words import choices_of


@dataclass(frozen=True)
class PathKey:
    """What the value of a path key may be beside one path, and ``null`` where no file has that name.

    Attributes:
        words: Values with a meaning of their own, such as ``auto``; files of these names are ``./auto``.
        several: Whether ``[A,B]`` is a list of paths, unless a file has that name.
        parts: Names of ``{s1: A, s2: B}`` where paths may differ by modality.
        expand: Whether Hydra itself takes the value for a path: ``~/`` is replaced here, and ``null`` is a name.
    """

    words: tuple[str, ...] = ()
    several: bool = False
    parts: tuple[str, ...] = ()
    expand: bool = False


_HYDRA = {"hydra.run.dir": PathKey(expand=True), "hydra.sweep.dir": PathKey(expand=True)}


@cache
def path_keys(program: str) -> dict[str, PathKey]:
    """The settings of a program that are paths, addresses or names of files, by its schema.

    Args:
        program: See `settings_of`.
    """
    found = {key: kind for key, hint in settings_of(program).items() if (kind := _path_key(hint)) is not None}
    parts = {f"{key}.{name}": PathKey() for key, kind in found.items() for name in kind.parts}
    return {**found, **parts, **_HYDRA}


def _path_key(hint: Any) -> PathKey | None:
    """What a setting of an annotated type may be; None where that is no path."""
    if get_origin(hint) is Annotated:
        inner, *metadata = get_args(hint)
        return PathKey() if LITERAL in metadata else _path_key(inner)
    if isinstance(hint, type) and issubclass(hint, Settings):
        fields = {name: _path_key(part) for name, part, _ in keys_of(hint)}
        return PathKey(parts=tuple(fields)) if all(fields.values()) else None
    if get_origin(hint) not in (Union, UnionType):
        return None
    members, words = get_args(hint), choices_of(hint)
    kinds = [kind for member in members if (kind := _path_key(member)) is not None]
    if not kinds:
        return None
    return PathKey(
        words=(*words, "null") if words else (),
        several=any(get_origin(unannotated(member)) is list for member in members),
        parts=tuple(name for kind in kinds for name in kind.parts),
    )


def literal_paths(arguments: Sequence[str], program: str) -> list[str]:
    """Quotes the paths of a command line, so that Hydra and OmegaConf hand them over as they were typed.

    What needs no quotes gets none, and quoting a second time changes nothing: processes that a program starts have its
    quoted arguments.

    Args:
        arguments: As typed.
        program: See `path_keys`.

    Returns:
        The arguments as Hydra takes them.

    Raises:
        UserError: A path is not UTF-8, or begins with ``~/`` and there is no home folder.
    """
    sweep, keys = is_sweep(arguments), path_keys(program)
    quoted = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        kind = keys.get(key.lstrip("+"))
        if kind is None or not equals or not value:
            quoted.append(argument)
        elif sweep and not key.startswith("hydra."):
            quoted.append(f"{key}={_swept(key, value, kind)}")
        else:
            quoted.append(f"{key}={_written(key, value, kind)}")
    return quoted


def with_folder_of_lightning(arguments: Sequence[str]) -> list[str]:
    """Takes the run's folder literally in the arguments of a process that Lightning starts for a training.

    Lightning writes ``hydra.run.dir="FOLDER"`` behind what was typed, with whatever the folder's name holds between the
    quotes, and the process's name behind that.
    """
    own = [number for number, text in enumerate(arguments) if text.startswith("hydra.job.name=train_ddp_process_")]
    found = re.fullmatch(r'hydra\.run\.dir="(.*)"', arguments[own[-1] - 1], re.DOTALL) if own and own[-1] else None
    if found is None:
        return list(arguments)
    literal = f"hydra.run.dir={_quoted('hydra.run.dir', found[1], _HYDRA['hydra.run.dir'])}"
    return [*arguments[: own[-1] - 1], literal, *arguments[own[-1] :]]


def is_sweep(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for several runs, so that commas separate values."""
    return any(argument in ("-m", "--multirun", "hydra.mode=MULTIRUN") for argument in arguments)


_FUNCTION = re.compile(r"(?:choice|shuffle|sort|tag|glob|range|interval)\s*\(.*\)", re.DOTALL)
"""Hydra's functions over the values of a sweep."""

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ELEMENT = re.compile(rf"\s*({_QUOTED}|\[[^\[\]]*\]|\{{[^{{}}]*\}}|[^,]*?)\s*(?:,|\Z)", re.DOTALL)


def _swept(key: str, value: str, kind: PathKey) -> str:
    if _FUNCTION.fullmatch(value):
        return value
    return ",".join(_written(key, element, kind) for element in _elements(value))


def _elements(text: str) -> list[str]:
    """Splits at commas, but for those within quotes or brackets that begin and end an element."""
    elements, position = [], 0
    while position <= len(text):
        match = _ELEMENT.match(text, position)
        assert match is not None  # the last alternative takes anything
        elements.append(match[1])
        if match.end() == len(text) and not match[0].endswith(","):
            break
        position = match.end()
    return elements


def _written(key: str, text: str, kind: PathKey) -> str:
    """One value, in Hydra's grammar."""
    if text in kind.words:
        return text
    if not os.path.lexists(_expanded(text)):
        if (text == "null" and not kind.expand) or re.fullmatch(_QUOTED, text, re.DOTALL):
            return text
        if kind.several and text[0] == "[" and text[-1] == "]":
            return f"[{','.join(_element(key, element, kind) for element in _elements(text[1:-1]) if element)}]"
        if (parts := _parts(text, kind.parts)) is not None:
            return f"{{{','.join(f'{name}:{_element(key, path, kind)}' for name, path in parts)}}}"
    return text if _is_plain(text) and text == _path(key, text, kind) else _quoted(key, text, kind)


def _parts(text: str, names: tuple[str, ...]) -> list[tuple[str, str]] | None:
    """Names and paths of ``{s1: A, s2: B}``; None where it is a path."""
    if not names or text[0] != "{" or text[-1] != "}":
        return None
    found = [re.fullmatch(r"(\w+)\s*:\s*(.+)", element, re.DOTALL) for element in _elements(text[1:-1])]
    parts = [(match[1], match[2]) for match in found if match is not None and match[1] in names]
    return parts if len(parts) == len(found) else None


def _element(key: str, text: str, kind: PathKey) -> str:
    """One of several paths."""
    kept = re.fullmatch(_QUOTED, text, re.DOTALL) or (text == "null" and not kind.expand)
    return text if kept else _quoted(key, text, kind)


def _quoted(key: str, text: str, kind: PathKey) -> str:
    # Hydra: backslashes count only before a quote, and the end is one.
    meant = uninterpolated(_path(key, text, kind))
    escaped = re.sub(r"(\\*)('|\Z)", lambda match: match[1] * 2 + match[2].replace("'", r"\'"), meant)
    return f"'{escaped}'"


def _path(key: str, text: str, kind: PathKey) -> str:
    """The path that is meant, in characters that all later readers take for themselves."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(f"{key}={text!a} is not UTF-8: rename the file, or link to it by another name") from None
    if text == "???":
        return "./???"  # to OmegaConf, a value that is missing
    if text[0] == "~":
        expanded = _expanded(text)
        if expanded == text and text.partition("/")[0] == "~":
            raise UserError(f"{key}={text} needs a home folder, and there is none: set HOME, or give the whole path")
        if expanded == text:
            return f"./{text}"  # no user has that name
        return expanded if kind.expand else text
    return text


def _expanded(text: str) -> str:
    """With the home folder for ``~/``; as it is where no user has that name, or this one has no home."""
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        return text


def _is_plain(text: str) -> bool:
    """Whether Hydra reads the text as itself."""
    if "${" in text:
        return False
    try:
        return text == OverridesParser.create().parse_override(f"key={text}").value()
    except HydraException:
        return False


def uninterpolated(text: str) -> str:
    """The text whose value in a config is `text`: OmegaConf looks up ``${...}``, and counts backslashes before it."""
    return re.sub(r"(\\*)\$\{", lambda match: rf"{match[1] * 2}\${{", text)


def output_folder() -> Path:
    """The folder of the run of this process, absolute; Hydra keeps it as a path, in which ``${x}`` is text."""
    runtime: Any = OmegaConf.to_container(HydraConfig.get().runtime, resolve=False)
    return Path(runtime["output_dir"])


def typed_overrides() -> list[str]:
    """The overrides of this run as they were typed: with references, not with what they refer to."""
    overrides: Any = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    return list(overrides)
