"""What a test found, and of which run: `results.json`, with all that is needed to compare it years later."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cromss.io.package_data import git_commit
from cromss.runs.results import FORMAT, MEANS, settings_of
from cromss.trainer.metrics import SegmentationScores

PER_CLASS = ("iou", "f1", "precision", "recall")


def scores_of(metric: SegmentationScores, classes: Sequence[str]) -> dict[str, Any]:
    """The scores of a branch as plain numbers.

    Args:
        metric: Confusion matrix of this process's share of the samples; summed over all processes here.
        classes: Class names.

    Returns:
        Shares in [0, 1], None where undefined: ``oa``, ``aa``, ``miou``, ``mf1``; ``classes``, name -> ``iou``, ``f1``,
        ``precision``, ``recall`` and the number of labelled ``pixels``; ``absent``, the classes that are in no label
        and have no part in the means; ``confusion``, pixels ``[label][prediction]``.
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
        weights: Where the training started, a description per loaded branch.
        tested: What was tested: the checkpoint, the epochs that it was trained, the number of locations, and
            `scored_part`.
    """
    return {
        "format": FORMAT,
        **settings_of(config, choices),
        "weights": list(weights),
        "tested": dict(tested),
        "git_commit": git_commit(),
        "scores": dict(scores),
    }


def scored_part(
    scores: Mapping[str, Any], labelled: int, ignored: int, evaluate: str, season: int, seasons: int
) -> dict[str, Any]:
    """Which and how many pixels of a test set the scores count.

    Args:
        scores: Branch -> `scores_of`; all count the same pixels.
        labelled: Pixels of the test set with a label in the tested season.
        ignored: Pixels without one.
        evaluate: ``"whole"`` or ``"centre"``, see `dataset.evaluate`.
        season: The tested season.
        seasons: Number of seasons that the test set has.

    Returns:
        These arguments, ``pixels``, the number that the scores count, and ``share``, that of the labelled ones in
        [0, 1].
    """
    pixels = sum(map(sum, next(iter(scores.values()))["confusion"]))
    return {
        "evaluate": evaluate,
        "season": season,
        "seasons": seasons,
        "pixels": pixels,
        "labelled": labelled,
        "ignored": ignored,
        "share": round(pixels / labelled, 6),
    }


def scored_line(tested: Mapping[str, Any]) -> str:
    """`scored_part` in words, e.g. ``"9,216 of 12,544 labelled pixels (73.5 %), dataset.evaluate=centre"``."""
    pixels, labelled = tested["pixels"], tested["labelled"]
    if pixels == labelled:
        line = f"all {labelled:,} labelled pixels, {tested['ignored']:,} have no label"
    else:
        part = f"{pixels:,} of {labelled:,} labelled pixels ({pixels / labelled:.1%})"
        line = f"{part}, dataset.evaluate={tested['evaluate']}"
    if tested["seasons"] > 1:
        line += f"; season {tested['season']} of 0 to {tested['seasons'] - 1}, dataset.eval_season"
    return line


def table(scores: Mapping[str, Any], tested: Mapping[str, Any]) -> str:
    """The scores as text, one column per branch: means first, then the IoU of every class, then what was scored.

    Args:
        scores: Branch -> `scores_of`.
        tested: `scored_part`.
    """
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
    lines.append(f"  scored: {scored_line(tested)}")
    return "\n".join(lines)


def _cells(values: Sequence[float | None]) -> str:
    return "".join(f"{'-' if value is None else f'{value:.3f}':>9}" for value in values)


def _number(value: Tensor) -> float | None:
    number = float(value)
    return None if math.isnan(number) else round(number, 6)
