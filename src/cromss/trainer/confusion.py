"""The confusion matrix of a test as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cromss.plotting import class_labels, fonts_for


def draw_confusion(scores: Mapping[str, Any]) -> Figure:
    """Draws one matrix a branch: of the pixels of each label, the share that each class got.

    Args:
        scores: Branch -> `cromss.trainer.results.scores_of`.

    Returns:
        A figure. Rows of classes that no label names are left blank.
    """
    size = max(4.5, 0.55 * len(next(iter(scores.values()))["classes"]) + 2.2)
    figure = Figure(figsize=(size * len(scores) + 0.6, size), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (branch, values) in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores.items(), strict=True):
        classes = list(values["classes"])
        counts = np.asarray(values["confusion"], dtype=float)
        with np.errstate(invalid="ignore"):
            shares = counts / counts.sum(axis=1, keepdims=True)
        mappable = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for label, prediction in np.argwhere(shares >= 0.005):
            share = shares[label, prediction]
            colour = "white" if share > 0.55 else "black"
            axis.text(prediction, label, f"{share:.0%}", ha="center", va="center", fontsize=7, color=colour)
        axis.set_title(f"{branch}: OA {_percent(values['oa'])}, mIoU {_percent(values['miou'])}", fontsize=10)
        labels = class_labels(classes)
        look: dict[str, Any] = {"fontsize": 8, "fontfamily": fonts_for(labels)}
        axis.set_xticks(range(len(classes)), labels, rotation=45, ha="right", **look)
        axis.set_yticks(range(len(classes)), labels, **look)
        axis.set_xlabel("prediction")
        axis.set_ylabel("label")
    figure.colorbar(mappable, ax=figure.axes, shrink=0.7, label="share of the label's pixels")
    return figure


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
