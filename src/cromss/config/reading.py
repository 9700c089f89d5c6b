"""A composed config as plain values, with its references and the values that cannot be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

_REFERENCE = re.compile(r"\$\{(?:oc\.select:)?([\w.]+)(?:,[^{}]*)?\}")


@dataclass(frozen=True)
class Reading:
    """The content of a config.

    Attributes:
        values: Plain dictionaries, lists and scalars, without missing and unreadable values.
        missing: Dotted keys without a value (``???``).
        unreadable: Dotted key -> why its value cannot be computed; including references to missing keys.
        expressions: Dotted key -> its value as written, where that is computed (holds ``${``).
        references: Dotted key -> the key that it refers to, where its value is only ``${...}``.
        mentioned: Keys that some interpolation names.
    """

    values: Mapping[str, Any]
    missing: tuple[str, ...]
    unreadable: Mapping[str, str]
    expressions: Mapping[str, str]
    references: Mapping[str, str]
    mentioned: frozenset[str]

    @classmethod
    def of(cls, cfg: DictConfig) -> Reading:
        """Reads a config."""
        missing: list[str] = []
        unreadable: dict[str, str] = {}
        values = _plain(cfg, "", missing, unreadable, {})
        written = _texts(OmegaConf.to_container(cfg, resolve=False))
        texts = {key: text for key, text in written if "${" in text}
        found = {key: match[1] for key, text in texts.items() if (match := _REFERENCE.fullmatch(text))}
        # `oc.select` has a default for a missing key.
        references = {key: target for key, target in found.items() if _is_there(values, target) or target in missing}
        mentioned = {key for text in texts.values() for key in re.findall(r"[\w.]+", text)}
        return cls(values, tuple(missing), unreadable, texts, references, frozenset(mentioned))

    def origin(self, key: str) -> str:
        """The key that a key, or one above it, refers to; the key itself where it is no reference."""
        for _ in range(len(self.references) + 1):
            parts = key.split(".")
            for end in range(len(parts), 0, -1):
                if (target := self.references.get(".".join(parts[:end]))) is not None:
                    key = ".".join((target, *parts[end:]))
                    break
            else:
                return key
        return key  # they refer to each other

    def is_referred_to(self, key: str) -> bool:
        """Whether another value refers to a key, or to one below it."""
        return any(other == key or other.startswith(f"{key}.") for other in self.mentioned)


def at(values: Any, key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, Mapping) else None
    return values


def _is_there(values: Any, key: str) -> bool:
    parent, _, name = key.rpartition(".")
    holder = at(values, parent) if parent else values
    return isinstance(holder, Mapping) and name in holder


def _plain(
    node: DictConfig,
    prefix: str,
    missing: list[str],
    unreadable: dict[str, str],
    known: dict[int, tuple[DictConfig, dict[str, Any]]],
) -> dict[str, Any]:
    """The values of a node. A node that several keys refer to is read once, unless it has mistakes."""
    if id(node) in known:
        return known[id(node)][1]
    values: dict[str, Any] = {}
    wrong = len(missing) + len(unreadable)
    for name in node:
        key = f"{prefix}{name!s}"
        if OmegaConf.is_missing(node, name):
            missing.append(key)
            continue
        try:
            value = node[name]
            if isinstance(value, ListConfig):
                value = OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
        except (OmegaConfBaseException, RecursionError) as error:
            unreadable[key] = " ".join(str(error.__cause__ or error).split("\n")[0].split())
            continue
        is_node = isinstance(value, DictConfig)
        values[str(name)] = _plain(value, f"{key}.", missing, unreadable, known) if is_node else value
    if len(missing) + len(unreadable) == wrong:
        known[id(node)] = (node, values)  # the node is kept, as another could get its id otherwise
    return values


def _texts(node: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted key and text of all values of a nested config; those of a list have the key of the list."""
    if isinstance(node, Mapping):
        for name, child in node.items():
            yield from _texts(child, f"{prefix}.{name}".lstrip("."))
    elif isinstance(node, list):
        for child in node:
            yield from _texts(child, prefix)
    elif isinstance(node, str):
        yield prefix, node
