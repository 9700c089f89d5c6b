"""Settings of a run that differ from those of the checkpoint that it goes on from, where that matters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cromss.io.plain import shown

RESTORED = ("trainer.optimizer", "trainer.scheduler", "trainer.decoder_rate")
"""Keys whose values are in the state that a checkpoint restores."""

_MAY_DIFFER = (
    "trainer.resume",
    "trainer.epochs",
    "trainer.workers",
    "trainer.wandb",
    "trainer.progress_bar",
    "trainer.check_finite",
    "trainer.panel",
    "dataset.path",
    "dataset.reader.path",
    "dataset.cache",
    "dataset.reader.cache",
    "dataset.train_path",
    "dataset.test",
    "dataset.evaluate",
    "backbone.weights",
    "backbone.start",
    "trainer.test",
    "trainer.checkpoint",
    "trainer.predictions",
    "row",
    "weights_folder",
)
"""Beginnings of keys that do not change what is learned."""


def differing_settings(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, str]:
    """Finds settings that change what is learned.

    Args:
        old: Resolved config of a checkpoint.
        new: Resolved config of the run.

    Returns:
        Dotted key -> ``"key=new (checkpoint: old)"``, in alphabetical order.
    """
    found = sorted(_differences(_with_validate(old), new), key=lambda difference: difference[0])
    return {
        key: f"{shown(key)}={shown(now)} (checkpoint: {shown(was)})"
        for key, was, now in found
        if not key.startswith(_MAY_DIFFER)
    }


def differing_network(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Finds settings that make two networks different, by the names that users know them by.

    Args:
        old: Config of a checkpoint: content of a file, of which nothing is certain.
        new: Resolved config of the run.

    Returns:
        Key -> its values in `old` and `new`, for messages.
    """
    settings = [_network_settings(config) for config in (old, new)]
    return {key: (settings[0][key], value) for key, value in settings[1].items() if settings[0][key] != value}


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


def listed(differing: Mapping[str, str], most: int = 8) -> str:
    """The first few of what `differing_settings` found, and how many there are beside, for a message."""
    more = f" and {len(differing) - most} more" if len(differing) > most else ""
    return ", ".join(list(differing.values())[:most]) + more


def _with_validate(old: Mapping[str, Any]) -> Mapping[str, Any]:
    """A config from when one key, `dataset.evaluate`, told what validation and test look at."""
    dataset = old.get("dataset", {})
    if not isinstance(dataset, Mapping) or "evaluate" not in dataset or "validate" in dataset:
        return old
    return {**old, "dataset": {**dataset, "validate": dataset["evaluate"]}}


def _differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, old and new value wherever two configs differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
    elif old != new:
        yield prefix, old, new
