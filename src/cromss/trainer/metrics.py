"""Scores of maps and of the selection: counts on the device, added up over batches and processes."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from cromss.types import labelled


class SegmentationScores(Metric):
    """Accuracy, IoU and F1 from one confusion matrix over all labelled pixels.

    A class that no label names says nothing about the network: its own scores are NaN, and the means leave it out.

    Args:
        num_classes: Number of classes C.
    """

    full_state_update = False
    higher_is_better = True
    confusion: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)
        self.add_state("confusion", default=counts, dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Counts a batch.

        Args:
            predicted: Classes ``(B, H, W)``, integers in [0, C).
            labels: Classes ``(B, H, W)``, integers in [0, C), or 255 for pixels that do not count.
        """
        cells = self.num_classes**2
        # Ignored pixels go to one extra cell, since selecting the others would make the host wait for the device.
        cell = torch.where(labelled(labels), labels.long() * self.num_classes + predicted.long(), cells)
        counts = torch.zeros(cells + 1, dtype=torch.int64, device=cell.device)
        counts.scatter_add_(0, cell.flatten(), torch.ones_like(cell).flatten())
        self.confusion += counts[:cells].view_as(self.confusion)

    def compute(self) -> dict[str, Tensor]:
        """The scores, in [0, 1].

        Returns:
            Scalars ``oa`` (overall accuracy), ``aa`` (mean recall), ``miou`` and ``mf1``; per class, ``(C,)``:
            ``iou``, ``f1``, ``precision``, ``recall``. NaN where no label names the class, or nothing is labelled.
            And ``confusion`` itself, pixels ``(C, C)``, label before prediction.
        """
        confusion = self.confusion.double()
        right = confusion.diagonal()
        labelled = confusion.sum(dim=1)
        predicted = confusion.sum(dim=0)
        present = labelled > 0
        scores = {
            "iou": right / (labelled + predicted - right),
            "f1": 2 * right / (labelled + predicted),
            "precision": right / predicted.clamp(min=1),  # 0 for a class that is never predicted
            "recall": right / labelled,
        }
        scores = {name: torch.where(present, score, torch.nan).float() for name, score in scores.items()}
        means = {"aa": "recall", "miou": "iou", "mf1": "f1"}
        return {
            "oa": (right.sum() / labelled.sum()).float(),
            **{mean: scores[name].nanmean() for mean, name in means.items()},
            **scores,
            "confusion": self.confusion,
        }


class SelectionQuality(Metric):
    """The share of wrong labels among the pixels that selection counts fully, and among all.

    Only pixels with a label and a known truth are looked at.
    """

    full_state_update = False
    labelled: Tensor
    wrong: Tensor
    selected: Tensor
    selected_wrong: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("labelled", "wrong", "selected", "selected_wrong"):
            self.add_state(name, default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, weights: Tensor, labels: Tensor, truth: Tensor) -> None:
        """Counts a batch.

        Args:
            weights: Selection weights ``(B, H, W)`` in [0, 1]; 1 up to rounding means selected.
            labels: Noisy labels ``(B, H, W)``, 255 for none.
            truth: Exact labels ``(B, H, W)``, 255 for unknown.
        """
        known = labelled(labels) & labelled(truth)
        wrong = known & (labels != truth)
        selected = known & (weights >= 1 - 1e-6)
        self.labelled += known.sum()
        self.wrong += wrong.sum()
        self.selected += selected.sum()
        self.selected_wrong += (selected & wrong).sum()

    def compute(self) -> dict[str, Tensor]:
        """The shares, in [0, 1].

        Returns:
            ``wrong_selected``, the share of wrong labels among the selected pixels, ``wrong_all``, that among all,
            and ``selected``, the share of pixels that are selected; NaN where there are no such pixels.
        """
        return {
            "wrong_selected": self.selected_wrong / self.selected,
            "wrong_all": self.wrong / self.labelled,
            "selected": self.selected / self.labelled,
        }


class WeightedMean(Metric):
    """The mean of a value over batches of different weight, e.g. a loss over all labelled pixels.

    `torchmetrics.MeanMetric` checks for NaN at every update, for which the host waits for the device, and sums in
    float32. Here NaNs pass through and sums are float64.
    """

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, default=torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: Tensor | float) -> None:
        """Adds a batch: its mean value and its weight, both scalars. A batch of weight 0 must have a finite value."""
        self.total += value.double() * weight
        self.weight += weight

    def compute(self) -> Tensor:
        """The weighted mean, a float32 scalar; NaN where nothing had weight."""
        return (self.total / self.weight).float()
