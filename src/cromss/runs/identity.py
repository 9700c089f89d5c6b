"""What makes two runs the same: one list of the kinds of settings, and the views of it that the project needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from cromss.io.plain import shown


@dataclass(frozen=True)
class Kind:
    """What a kind of setting means for a run. Without a word, a setting is part of the method, and all are true.

    Attributes:
        named: The run's folder is named after it.
        compared: Runs that are compared as one experiment agree in it.
        scored: The score of a finished run answers only for the same value.
        learned: A training resumes only with the same value.
        tested: A test of a checkpoint takes the value that it was trained with.
        restored: A checkpoint brings it along, as part of the optimiser's state.
    """

    named: bool = True
    compared: bool = True
    scored: bool = True
    learned: bool = True
    tested: bool = True
    restored: bool = False


_METHOD = Kind()

_KEYS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    # Where a run writes what may be computed again.
    (Kind(compared=False, scored=False, learned=False, tested=False), ("*cache",)),
    # Where something lies; what a training starts from stands in its results by its content.
    (Kind(compared=False, scored=False, learned=False), ("*path", "*folder")),
    (Kind(compared=False), ("seed",)),
    # Devices change the order of sums and the size of a batch, so that a training keeps them.
    (
        Kind(compared=False, scored=False, tested=False),
        ("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    ),
    # How one start resumes, what it shows, where it reports and which files it keeps.
    (
        Kind(named=False, compared=False, scored=False, learned=False, tested=False),
        (
            *("trainer.resume", "trainer.workers", "trainer.predictions", "trainer.progress_bar", "trainer.wandb*"),
            *("trainer.checkpoint_every", "trainer.checkpoint_steps", "trainer.panel*", "trainer.check_finite*"),
            *(
                "logger",
                *(f"trainer.lightning.{name}" for name in ("benchmark", "detect_anomaly", "max_time", "profiler")),
            ),
        ),
    ),
    # A test has the callbacks of its own command line.
    (Kind(tested=False), ("callbacks",)),
    # A test alone, and of what.
    (Kind(compared=False, learned=False, tested=False), ("trainer.test_only", "trainer.checkpoint")),
    (Kind(scored=False, learned=False), ("trainer.epochs",)),
    # Before the training, of which the state in a checkpoint is the outcome; after it; and what it is compared with.
    (
        Kind(learned=False),
        ("backbone.weights*", "backbone.start", "trainer.test", "dataset.test*", "dataset.evaluate", "row"),
    ),
    (Kind(restored=True), ("trainer.optimizer", "trainer.scheduler", "trainer.decoder_rate*")),
)
"""Kinds of settings and their keys: a dotted key stands for all below it, ``*`` for any text; the first counts."""


@lru_cache(4096)
def kind_of(key: str) -> Kind:
    """The kind of a setting.

    Args:
        key: Dotted, such as ``"trainer.devices"``, or one below such a key.
    """
    parts = key.split(".")
    above = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    found = (kind for kind, patterns in _KEYS for p in patterns if any(fnmatchcase(name, p) for name in above))
    return next(found, _METHOD)


def experiment_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of everything that runs of one experiment share: not seed, paths and hardware."""
    return {key: value for key, value in _set(config) if kind_of(key).compared}


def config_hash(config: Mapping[str, Any]) -> str:
    """Sixteen digits that tell experiments apart: equal for runs that differ in seed, paths and hardware alone."""
    return _digits(experiment_settings(config))


def identity(config: Mapping[str, Any]) -> str:
    """Sixteen digits, equal where the score of one run answers for the other, however many epochs each has.

    Args:
        config: Resolved.
    """
    return _digits({key: value for key, value in _set(config) if kind_of(key).scored})


def differing_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Finds settings that change what is learned.

    Args:
        old: Resolved config of a checkpoint, by the names of this version.
        new: Resolved config of the run.

    Returns:
        Dotted key -> ``"key=new (checkpoint: old)"``, in alphabetical order.
    """
    found = sorted(_differences(old, new), key=lambda difference: difference[0])
    return {
        key: f"{shown(key)}={shown(now)} (checkpoint: {shown(was)})" for key, was, now in found if kind_of(key).learned
    }


def listed(differing: Mapping[str, str], most: int = 8) -> str:
    """The first few of what `differing_settings` found, and how many there are beside, for a message."""
    more = f" and {len(differing) - most} more" if len(differing) > most else ""
    return ", ".join(list(differing.values())[:most]) + more


def differing_network(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Finds settings that make two networks different, by the names that users know them by.

    Args:
        old: Config of a checkpoint: content of a file, of which nothing is certain.
        new: Resolved config of the run.

    Returns:
        Key -> its values in `old` and `new`, for messages.
    """
    before, now = (_network_settings(config) for config in (old, new))
    return {key: (before[key], value) for key, value in now.items() if before[key] != value}


def leaves(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Dotted key and value of all that a nested config holds; a list is one value."""
    if isinstance(node, Mapping):
        return [leaf for key, child in node.items() for leaf in leaves(child, f"{prefix}.{key}".lstrip("."))]
    return [(prefix, node)]


def _set(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All settings but what is left to Lightning's own default, as in all runs of the version without these keys."""
    return (leaf for leaf in leaves(config) if leaf[1] is not None or not leaf[0].startswith("trainer.lightning."))


def _digits(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, old and new value wherever two configs differ."""
    if any(isinstance(side, Mapping) for side in (old, new)) and all(isinstance(s, Mapping | None) for s in (old, new)):
        # A table that one of them does not have is an empty one.
        old, new = old or {}, new or {}
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
    elif old != new:
        yield prefix, old, new


def _network_settings(config: Mapping[str, Any]) -> dict[str, str]:
    def found(*keys: str) -> Any:
        node: Any = config
        for key in keys:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    kind = str(found("fusion", "_target_")).rpartition(".")[2].removesuffix("Fusion").lower()
    modality = found("fusion", "modality")
    settings = {
        "fusion": "early" if modality == "common" else kind,
        "dataset.modality": "s1 and s2" if modality in ("common", None) else modality,
        "backbone.encoder": found("fusion", "backbone", "encoder"),
        "backbone.decoder": found("fusion", "backbone", "decoder"),
        "dataset.bands": found("dataset", "bands"),
        "dataset.num_classes": found("fusion", "classes"),
    }
    return {key: shown(str(value)) for key, value in settings.items()}
