"""The config of a test, which starts from how the checkpoint was trained."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from cromss.cli.compose import Composed, choices_of, compose_whole, without_hydra
from cromss.config.paths import path_keys, uninterpolated
from cromss.io.package_data import option_files
from cromss.io.plain import NotPlainError, literal, shown
from cromss.runs.identity import kind_of
from cromss.trainer.checkpoint_file import load_checkpoint


def as_trained(asked: Composed) -> Composed:
    """Composes the config of a test again: the settings of the checkpoint, then those of the command line.

    The checkpoint is not trusted, so nothing of it is composed: only the names of options and keys are read from its
    overrides. The options are those of this project's own ``conf``; the values of keys are plain ones of its config.

    Args:
        asked: Composed for `trainer.test_only`, with a `trainer.checkpoint`.

    Raises:
        ValueError: The checkpoint cannot be read, or was trained with options, keys or values that this version does
            not take.
    """
    path = Path(str(asked.cfg.trainer.checkpoint)).expanduser()
    if not path.is_file():
        raise ValueError(f"trainer.checkpoint={path} is no file: give the path of a checkpoint")
    checkpoint = load_checkpoint(path)
    said = dict(_by_key(asked.overrides))
    try:
        options, keys = _trained_with(checkpoint.provenance.overrides, asked.choices, said)
        whole = compose_whole([*options, *asked.overrides])
        choices, own = choices_of(whole), without_hydra(whole)
        # Options of the command line may have other keys, e.g. the size of synthetic patches: the rest is left out.
        set_trained(own, checkpoint.config, keys, optional={group for group in said if group in choices})
        _set_again(own, whole, [key for key in said if key not in choices])
    except NotPlainError as error:
        raise ValueError(
            f"{path} cannot be tested as it was trained: {error}. Name what it was trained with on the command line"
        ) from error
    except HydraException as error:
        raise ValueError(
            f"{path} was trained with {' '.join(options)}, which this version does not take together with "
            f"{' '.join(asked.overrides)}: {error}"
        ) from error
    return replace(asked, cfg=own, choices=choices)


_OVERRIDE = re.compile(r"(?P<added>\+{0,2})(?P<key>[A-Za-z]\w*(?:[./][A-Za-z]\w*)*)=(?P<value>.*)", re.DOTALL)
"""The overrides that are accepted: no deletions, no packages, no names that begin with an underscore."""

_TEST = "dataset.test"
"""A part of the config that accepts any setting of the reader."""


def _trained_with(
    overrides: Sequence[str], groups: Collection[str], said: Collection[str]
) -> tuple[list[str], list[str]]:
    """The options, as overrides, and the keys that a run was trained with, except those of the command line.

    Raises:
        NotPlainError: An override names neither an option of this project nor a key.
    """
    options, keys = [], []
    for override in overrides:
        parsed = _OVERRIDE.fullmatch(override)
        key = parsed["key"] if parsed else ""
        if parsed is None or key.split(".")[0].split("/")[0] == "hydra":
            raise NotPlainError(f"its overrides hold {shown(override)}, which no file may ask for")
        if key in said or not kind_of(key).tested:
            continue
        if key not in groups and "/" not in key:
            keys.append(key)
        elif parsed["value"] in _options(key):
            options.append(f"{key}={parsed['value']}")
        else:
            raise NotPlainError(
                f"it was trained with {shown(override)}, which is no option of this version: there are "
                f"{', '.join(_options(key)) or 'none'}"
            )
    return options, keys


def _options(group: str) -> list[str]:
    """The options of a group of this project, from its files; none where there is no such group."""
    files = option_files(group)
    return ["null", *files] if files else []


def set_trained(cfg: DictConfig, trained: Mapping[str, Any], keys: Sequence[str], optional: Collection[str]) -> None:
    """Sets keys of a config to their values in a saved one.

    Args:
        cfg: The composed config, which knows these keys. Changed in place.
        trained: The resolved config of a checkpoint.
        keys: Well-formed dotted keys that a run was started with.
        optional: Groups whose unknown keys are left out.

    Raises:
        NotPlainError: `cfg` does not have a key, or a value is of another type or would be resolved.
    """
    for key in keys:
        group, _, name = key.rpartition(".")
        # The settings of the test reader are checked against those of the reader.
        known = _node(cfg, "dataset.reader" if group == _TEST else group)
        if not isinstance(known, DictConfig) or name not in known.keys():  # noqa: SIM118, a missing value is in no node
            if key.split(".")[0] in optional:
                continue
            raise NotPlainError(f"it was trained with {shown(key)}=…, a key that this version does not have")
        value = _plain_value(trained, key)
        there = _node(cfg, "dataset.reader") if key == _TEST and isinstance(value, Mapping) else known._get_node(name)
        try:
            _check_fits(key, value, there)
        except _UnknownKeyError:
            if key.split(".")[0] not in optional:
                raise
            continue
        OmegaConf.update(cfg, key, value, merge=isinstance(value, Mapping), force_add=_TEST in (key, group))


class _UnknownKeyError(NotPlainError):
    """A saved value has a key that this version, or an option that was asked for, does not have."""


def _node(cfg: DictConfig, key: str) -> Any:
    """The node at a dotted key as it is written, or None; references are not followed."""
    node: Any = cfg
    for name in filter(None, key.split(".")):
        if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation() or node._is_missing():
            return None
        node = node._get_node(name)
    return node


def _plain_value(trained: Mapping[str, Any], key: str) -> Any:
    node: Any = trained
    for name in key.split("."):
        if not isinstance(node, Mapping) or name not in node:
            raise NotPlainError(f"its overrides name {shown(key)}, and its config has no such key")
        node = node[name]
    if key in path_keys("train"):
        return _escape_references(node)
    if isinstance(node, Mapping):
        node = {name: child for name, child in node.items() if kind_of(f"{key}.{name}").tested}
    return literal(node)


def _escape_references(value: Any) -> Any:
    """A path, or paths by modality, escaped so that a config resolves nothing in it."""
    if isinstance(value, Mapping):
        literal(list(value))
        return {name: _escape_references(path) for name, path in value.items()}
    if not isinstance(value, str):
        return literal(value)
    return "./???" if value == "???" else uninterpolated(value)


def _check_fits(key: str, value: Any, there: Any) -> None:
    """NotPlainError unless a value has the form of its node, without keys that Hydra would act on."""
    # A reference may stand for anything, as null may.
    is_open = there is None or there._is_none() or there._is_interpolation() or there._is_missing()
    if value is None and isinstance(there, DictConfig) and not is_open and "_target_" in there:
        raise NotPlainError(f"its config has {shown(key)}=null, a part that no run is without")
    kinds = {Mapping: (DictConfig, "keys with values belong"), list | tuple: (ListConfig, "list belongs")}
    for kind, (node, belongs) in kinds.items():
        if value is not None and not is_open and isinstance(value, kind) != isinstance(there, node):
            no = "" if isinstance(there, node) else "no "
            raise NotPlainError(f"its config has {shown(key)}={shown(repr(value))} where {no}{belongs}")
    if isinstance(value, Mapping):
        for name, child in value.items():
            inner: Any = None if is_open else there._get_node(name)
            if inner is None and not (is_open and re.fullmatch(r"[A-Za-z]\w*", name)):
                raise _UnknownKeyError(
                    f"its config has {shown(f'{key}.{name}')}, a key that this version does not have"
                )
            # `_target_` and its like decide what is called, so they must be those of this version.
            if name.startswith("_") and inner._value() != child:
                raise NotPlainError(f"its config has {shown(f'{key}.{name}={child}')}, which no file may ask for")
            _check_fits(f"{key}.{name}", child, inner)
    elif isinstance(value, list | tuple):
        for number, child in enumerate(value):
            _check_fits(f"{key}.{number}", child, None)


def _set_again(cfg: DictConfig, asked: DictConfig, keys: Sequence[str]) -> None:
    """Sets the keys of the command line again, as they override values of a checkpoint."""
    for key in keys:
        group, _, name = key.rpartition(".")
        node = _node(asked, key)
        # A `~` may have removed the key from a node that a checkpoint replaced.
        if node is not None and isinstance(_node(cfg, group), DictConfig):
            # The node as written, with its references.
            with open_dict(cfg):
                _node(cfg, group)[name] = copy.deepcopy(node)


def _by_key(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return ((override.key_or_group, text) for override, text in zip(parsed, overrides, strict=True))
