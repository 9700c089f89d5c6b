"""Builds what a config describes by ``_target_``."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf


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


def find_own_modules() -> None:
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
    find_own_modules()
    target = get_object(value["_target_"])
    return functools.partial(target, **arguments) if value.get("_partial_") else target(**arguments)
