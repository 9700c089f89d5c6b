"""The metrics of a run: their names, and their values per epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cromss.dataset.classes import metric_keys
from cromss.runs.metrics import read_metrics_table
from cromss.runs.results import MEANS

_CLASS = re.compile(r"(?P<group>\w+/\w+/iou(_true)?)/(?P<label>\w+)")
_NAMES = {"oa": "OA", "aa": "AA", "miou": "mIoU", "mf1": "mF1", "iou": "IoU", "loss": "loss", "selected": "selected"}
_NAMES |= {"wrong_selected": "wrong among selected", "wrong_all": "wrong labels"}
_LOW = ("loss", "wrong_selected", "wrong_all")
TRUTH = "_true"
"""End of the names of scores against exact labels, where a dataset has them beside noisy ones."""


@dataclass(frozen=True)
class Metrics:
    """The rows of a `metrics.csv`.

    Attributes:
        epochs: ``(N,)``, rising.
        values: Metric -> ``(N,)``, NaN in epochs without it.
    """

    epochs: np.ndarray
    values: Mapping[str, np.ndarray]

    def best_row(self, monitor: str) -> int | None:
        """The row where the monitored metric is best; None where it was never logged, or there is no row."""
        values = self.values.get(monitor)
        if values is None or not np.isfinite(values).any():
            return None
        signed = -values if lower_is_better(monitor) else values
        return int(np.nanargmax(np.where(np.isfinite(signed), signed, np.nan)))

    def at(self, name: str, row: int | None) -> float | None:
        """The value in a row; without a row, or without a value there, the last one; None without any."""
        values = self.values[name]
        known = np.flatnonzero(np.isfinite(values))
        if not len(known):
            return None
        return float(values[row if row is not None and row in known else known[-1]])


NOTHING = Metrics(np.empty(0, int), {})


def read_metrics(path: Path) -> Metrics:
    """Reads a `metrics.csv`.

    Raises:
        NotPlainError: It is damaged; the message is the reason alone.
        OSError: It cannot be read.
    """
    table = read_metrics_table(path)
    values = {name: np.array([row.get(name, math.nan) for row in table.rows], float) for name in table.names}
    return Metrics(np.array(table.epochs, int), values)


def lower_is_better(metric: str) -> bool:
    """Whether a low value is the better one: of losses, and of wrong labels."""
    return metric.rpartition("/")[2].startswith(_LOW)


def is_share(metric: str) -> bool:
    """Whether it lies in [0, 1] and is shown in percent."""
    return not metric.rpartition("/")[2].startswith("loss")


def compared(names: Iterable[str]) -> list[str]:
    """Of logged names those worth a choice in the page: scores and whole losses, without those of single classes."""
    last = (*_NAMES, *(f"{name}{TRUTH}" for name in MEANS))
    chosen = [name for name in names if name.rpartition("/")[2] in last]
    return sorted(chosen, key=_order)


def in_table(names: Iterable[str]) -> list[str]:
    """Of the compared ones those that have a column without being asked for."""
    return [name for name in names if re.search(r"^(val|test)/\w+/miou", name)]


def title(metric: str) -> str:
    """``"val s2 mIoU"``; ``"val s2 mIoU (truth)"`` where the labels compared with are exact."""
    *where, last = metric.split("/")
    bare = last.removesuffix(TRUTH)
    return " ".join([*where, _NAMES.get(bare, bare)]) + (" (truth)" if bare != last else "")


def class_groups(names: Iterable[str]) -> list[str]:
    """Of logged names, those before the class: ``"val/s2/iou"``, ``"val/s2/iou_true"``."""
    found = {match["group"] for name in names if (match := _CLASS.fullmatch(name))}
    return sorted(found, key=_order)


def class_metrics(group: str, classes: Sequence[str]) -> dict[str, str]:
    """Class -> name of its IoU below a `group` such as ``"val/s2/iou"``; `classes` are all of a run, in its order."""
    return {label: f"{group}/{key}" for label, key in zip(classes, metric_keys(classes), strict=True)}


def choose_primary(names: Sequence[str], monitors: Iterable[str]) -> str | None:
    """The metric by which runs are ordered.

    The metric that all of them watched, where that is a score; else the mean IoU of the last branch, in validation,
    or in a test where nothing was validated; else the first metric there is.
    """
    watched = set(monitors)
    if len(watched) == 1 and (monitor := watched.pop()) in names and not lower_is_better(monitor):
        return monitor
    for stage in ("val", "test"):
        scores = [name for name in names if re.fullmatch(rf"{stage}/s?\w+/miou", name)]
        if scores:
            return max(scores, key=lambda name: (re.search(r"/s\d/", name) is not None, name))
    return names[0] if names else None


def _order(name: str) -> tuple[object, ...]:
    stage, *_, last = name.split("/")
    branch = name.split("/")[1] if name.count("/") > 1 else ""
    rank = list(_NAMES).index(last.removesuffix(TRUTH)) if last.removesuffix(TRUTH) in _NAMES else len(_NAMES)
    return (("val", "test", "train").index(stage) if stage in ("val", "test", "train") else 3, branch, rank, last)
