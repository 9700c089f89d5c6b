"""What makes two runs the same: one list of the kinds of settings, and what follows from it."""

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
    """What a kind of setting means for a run. The defaults are those of a setting that is part of the method.

    Attributes:
        named: Whether the folder of the run is named after it.
        compared: Whether runs of one experiment have the same value.
        scored: Whether the score of a finished run is valid only for the same value.
        learned: Whether a training resumes only with the same value.
        tested: Whether a test of a checkpoint takes the value that it was trained with.
        restored: Whether a checkpoint restores it, as part of the optimiser's state.
    """

    named: bool = True
    compared: bool = True
    scored: bool = True
    learned: bool = True
    tested: bool = True
    restored: bool = False


_METHOD = Kind()

_KEYS: tuple[tuple[Kind, tuple[str, ...]], ...] = (
    # Folders of files that can be computed again.
    (Kind(compared=False, scored=False, learned=False, tested=False), ("*cache",)),
    # Paths; the results of a run name the weights that it started from by their content.
    (Kind(compared=False, scored=False, learned=False), ("*path", "*folder")),
    (Kind(compared=False), ("seed",)),
    # Devices change the order of sums and the batch size, so a training resumes only with the same ones.
    (
        Kind(compared=False, scored=False, tested=False),
        ("trainer.accelerator", "trainer.devices", "trainer.num_nodes", "trainer.strategy"),
    ),
    # Whether a run resumes, what it shows, where it logs and which files it keeps.
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
    # A test uses the callbacks of its own command line.
    (Kind(tested=False), ("callbacks",)),
    # Whether only a checkpoint is tested, and which.
    (Kind(compared=False, learned=False, tested=False), ("trainer.test_only", "trainer.checkpoint")),
    (Kind(scored=False, learned=False), ("trainer.epochs",)),
    # What is used before the training (its outcome is in the checkpoint), after it, or for comparison only.
    (
        Kind(learned=False),
        ("backbone.weights*", "backbone.start", "trainer.test", "dataset.test*", "dataset.evaluate", "row"),
    ),
    (Kind(restored=True), ("trainer.optimizer", "trainer.scheduler", "trainer.decoder_rate*")),
)
"""Kinds of settings and their keys: a dotted key includes all keys below, ``*`` is any text; the first match counts."""


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
    """Dotted key -> value of every setting that runs of one experiment share, i.e. without seed, paths and hardware."""
    return {key: value for key, value in _set_keys(config) if kind_of(key).compared}


def config_hash(config: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits: equal for runs that differ only in seed, paths and hardware."""
    return _hash(experiment_settings(config))


def identity(config: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits: equal where the score of one run is valid for the other, whatever their epochs.

    Args:
        config: The resolved config.
    """
    return _hash({key: value for key, value in _set_keys(config) if kind_of(key).scored})


def differing_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Finds differing settings that change what is learned.

    Args:
        old: Resolved config of a checkpoint, with the key names of this version.
        new: Resolved config of the run.

    Returns:
        Dotted key -> ``"key=new (checkpoint: old)"``, in alphabetical order.
    """
    found = sorted(_differences(old, new), key=lambda difference: difference[0])
    return {
        key: f"{shown(key)}={shown(now)} (checkpoint: {shown(was)})" for key, was, now in found if kind_of(key).learned
    }


def listed_differences(differing: Mapping[str, str], most: int = 8) -> str:
    """The first few results of `differing_settings`, and the number of the others, for a message."""
    more = f" and {len(differing) - most} more" if len(differing) > most else ""
    return ", ".join(list(differing.values())[:most]) + more


def differing_network(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Finds settings in which two networks differ, by the names that users know.

    Args:
        old: Config of a checkpoint: content of a file, which may be anything.
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


def _set_keys(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """All settings except keys of Lightning that are null, as earlier versions do not have these keys."""
    return (leaf for leaf in leaves(config) if leaf[1] is not None or not leaf[0].startswith("trainer.lightning."))


def _hash(settings: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, old and new value wherever two configs differ."""
    if any(isinstance(side, Mapping) for side in (old, new)) and all(isinstance(s, Mapping | None) for s in (old, new)):
        # A table that is missing in one of them counts as empty.
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
