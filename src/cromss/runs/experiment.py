"""What an experiment is: the settings that runs share which are compared as one, and the code that ran."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

_NOT_THE_EXPERIMENT = (
    "seed",
    "trainer.accelerator",
    "trainer.checkpoint",
    "trainer.devices",
    "trainer.num_nodes",
    "trainer.panel",
    "trainer.predictions",
    "trainer.progress_bar",
    "trainer.resume",
    "trainer.strategy",
    "trainer.test_only",
    "trainer.wandb",
    "trainer.workers",
)
"""Beginnings of keys that runs of one experiment may differ in."""

_PLACE = re.compile(r"(path|cache|folder)(\.|$)")
"""A key that says where something lies, or one below it, such as the path of a branch: another such difference."""


def config_hash(config: Mapping[str, Any]) -> str:
    """Sixteen digits that tell experiments apart: equal for runs that differ in seed, paths and hardware alone."""
    settings = experiment_settings(config)
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def experiment_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of everything that runs of one experiment share: not seed, paths and hardware."""
    return {
        key: value
        for key, value in leaves(config)
        if not key.startswith(_NOT_THE_EXPERIMENT) and not _PLACE.search(key)
    }


def leaves(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted key and value of all that a nested config holds; a list is one value."""
    if isinstance(node, Mapping):
        return [leaf for key, child in node.items() for leaf in leaves(child, f"{prefix}.{key}".lstrip("."))]
    return [(prefix, node)]
