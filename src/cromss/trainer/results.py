"""What a test found, and of what: the run's `results.json`, complete enough to be compared years later."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cromss.experiment import config_hash, git_commit

if TYPE_CHECKING:
    # `cromss.report` reads these files, and starts faster without torch.
    from torch import Tensor

    from cromss.trainer.metrics import SegmentationScores

FORMAT = 1
"""Version of the layout of `results.json`."""

MEANS = ("oa", "aa", "miou", "mf1")
PER_CLASS = ("iou", "f1", "precision", "recall")


def scores_of(metric: SegmentationScores, classes: Sequence[str]) -> dict[str, Any]:
    """The scores of a branch as plain numbers.

    Args:
        metric: Confusion matrix of this process's share of the samples; summed over all processes here.
        classes: Class names.

    Returns:
        Shares in [0, 1], None where undefined: ``oa``, ``aa``, ``miou``, ``mf1``; ``classes``, name -> ``iou``, ``f1``,
        ``precision``, ``recall`` and the number of labelled ``pixels``; ``absent``, the classes that no label names,
        which the means leave out; ``confusion``, pixels ``[label][prediction]``.
    """
    values = metric.compute()
    confusion = values["confusion"].tolist()
    pixels = [sum(row) for row in confusion]
    return {
        **{name: _number(values[name]) for name in MEANS},
        "classes": {
            label: {name: _number(values[name][c]) for name in PER_CLASS} | {"pixels": pixels[c]}
            for c, label in enumerate(classes)
        },
        "absent": [label for label, count in zip(classes, pixels, strict=True) if count == 0],
        "confusion": confusion,
    }


def results(
    config: Mapping[str, Any],
    choices: Mapping[str, str],
    scores: Mapping[str, Any],
    weights: Sequence[Mapping[str, Any]],
    tested: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that `results.json` holds.

    Args:
        config: The resolved config.
        choices: Group -> chosen option.
        scores: Branch -> `scores_of`.
        weights: Where the training started, a description a loaded branch.
        tested: What was tested: the checkpoint, the epochs that it was trained, and the number of locations.
    """
    backbone, dataset = config["backbone"], config["dataset"]
    modality = config["fusion"].get("modality")
    return {
        "format": FORMAT,
        "row": config["row"],
        "dataset": choices["dataset"],
        "input": modality if modality in ("s1", "s2") else "s1+s2",
        "bands": dataset["bands"],
        "fusion": choices["fusion"],
        "backbone": backbone["encoder"],
        "decoder": backbone["decoder"],
        "freeze": backbone["freeze"],
        "freeze_epochs": backbone["freeze_epochs"],
        "train_samples": dataset["train_samples"],
        "seed": config["seed"],
        "epochs": config["trainer"]["epochs"],
        "weights": list(weights),
        "tested": dict(tested),
        "config_hash": config_hash(config),
        "git_commit": git_commit(),
        "scores": dict(scores),
    }


def table(scores: Mapping[str, Any]) -> str:
    """The scores as text, a column a branch: means first, then the IoU of every class."""
    columns = list(scores)
    lines = [f"{'test':42}" + "".join(f"{branch:>9}" for branch in columns)]
    titles = {"oa": "overall accuracy", "aa": "average accuracy", "miou": "mean IoU", "mf1": "mean F1"}
    lines += [f"{title:42}" + _cells([scores[branch][name] for branch in columns]) for name, title in titles.items()]
    first = scores[columns[0]]
    lines += [
        f"  IoU {label:38.38}" + _cells([scores[branch]["classes"][label]["iou"] for branch in columns])
        for label in first["classes"]
        if label not in first["absent"]
    ]
    if first["absent"]:
        lines.append(f"  not in the labels, left out of the means: {', '.join(first['absent'])}")
    return "\n".join(lines)


def _cells(values: Sequence[float | None]) -> str:
    return "".join(f"{'-' if value is None else f'{value:.3f}':>9}" for value in values)


def _number(value: Tensor) -> float | None:
    number = float(value)
    return None if math.isnan(number) else round(number, 6)
