"""Builds what a config describes by ``_target_``, and compares settings with the signature of a custom target."""

from __future__ import annotations

import functools
import inspect
import pydoc
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from cromss.config.settings import Problem
from cromss.config.words import allowed, as_typed, did_you_mean
from cromss.io.plain import shown


def instantiate(node: DictConfig | Mapping[str, Any], **keywords: Any) -> Any:
    """Builds a part, and the parts that it is made of, from plain keywords.

    Unlike `hydra.utils.instantiate`, it resolves references once: a path that contains ``${x}`` stays unchanged.

    Args:
        node: ``_target_`` is the dotted name of a class or function, ``_partial_: true`` leaves the call to the
            caller, and the other keys are keywords.
        **keywords: Override those of the node.

    Raises:
        ImportError: There is no such target.
    """
    plain: Any = OmegaConf.to_container(node, resolve=True) if isinstance(node, DictConfig) else node
    return _built({**plain, **keywords})


def _find_own_modules() -> None:
    """Lets a ``_target_`` name a module in the current folder, after all that is installed."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def _built(value: Any) -> Any:
    if isinstance(value, DictConfig):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, list):
        return [_built(child) for child in value]
    if not isinstance(value, Mapping):
        return value
    arguments = {name: _built(child) for name, child in value.items() if name not in ("_target_", "_partial_")}
    if "_target_" not in value:
        return arguments
    _find_own_modules()
    target = get_object(value["_target_"])
    return functools.partial(target, **arguments) if value.get("_partial_") else target(**arguments)


_HYDRA = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")


def signature_problems(target: str, settings: Mapping[str, Any], prefix: str, is_factory: bool) -> Iterator[Problem]:
    """Finds settings that do not fit the class or function that takes them.

    Args:
        target: Dotted name of a class or function.
        settings: Keywords, and Hydra's own keys.
        prefix: Dotted key of the settings.
        is_factory: Whether the caller passes the first argument later.
    """
    key, name_shown = f"{prefix}._target_", shown(target)
    _find_own_modules()
    try:
        called: Any = pydoc.locate(target)
    except pydoc.ErrorDuringImport as error:
        if isinstance(error.value, BaseException) and not isinstance(error.value, Exception):
            raise error.value from None  # pydoc also catches Ctrl-C and signals
        yield Problem(key, f"{key}={name_shown} cannot be imported: {type(error.value).__name__}: {error.value}")
        return
    if called is None:
        yield Problem(key, f"{key}={name_shown} cannot be imported: there is no such module, class or function")
        return
    if not callable(called):
        yield Problem(key, f"{key}={name_shown} must be a class or a function")
        return
    try:
        parameters = dict(inspect.signature(called).parameters)
        hints = get_type_hints(inspect.getattr_static(called, "__init__") if inspect.isclass(called) else called)
    except (TypeError, ValueError, NameError):
        return  # builtins have no signature, and some annotations cannot be resolved
    kinds = inspect.Parameter
    if is_factory:
        parameters.pop(next(iter(parameters), ""), None)
    named = {
        name: one for name, one in parameters.items() if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    }
    takes_any = any(one.kind is kinds.VAR_KEYWORD for one in parameters.values())
    given = {str(name): value for name, value in settings.items() if name not in _HYDRA}
    for name, value in given.items():
        if name not in named and not takes_any:
            known = [f"{prefix}.{other}" for other in named]
            hint = did_you_mean(f"{prefix}.{name}", known, f"it takes {', '.join(named) or 'nothing'}")
            yield Problem(f"{prefix}.{name}", f"There is no key {prefix}.{name} for {target}: {hint}")
        elif name in hints and not _fits(value, hints[name]):
            yield Problem(f"{prefix}.{name}", f"{prefix}.{name}={as_typed(value)} must be {allowed(hints[name])}")
    for name, one in named.items():
        if name not in given and one.default is kinds.empty and "_args_" not in settings:
            yield Problem(
                f"{prefix}.{name}",
                f"{prefix}.{name} has no value, and {target} needs one: set it by +{prefix}.{name}=...",
            )


def _fits(value: Any, hint: Any) -> bool:
    """Whether a plain value fits an annotated type; True where this is unknown."""
    if not isinstance(value, bool | int | float | str | NoneType):
        return True
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, member) for member in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint in (bool, int, float, str, NoneType):
        # A whole number is a number; true is none.
        return type(value) is hint or (hint is float and type(value) is int)
    # For other classes, such as paths and tensors, this is unknown.
    return True
