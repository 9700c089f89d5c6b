"""The one LightningModule: pretraining, its ablations and baselines are the same lines with other parts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import lightning as L
from torch import Tensor, nn
from torch.optim import Optimizer

from cromss.loss import Objective
from cromss.selection import CrossModalSelection, NoSelection
from cromss.trainer.guard import FiniteGuard
from cromss.trainer.metrics import SegmentationScores, SelectionQuality, WeightedMean
from cromss.types import IGNORE_INDEX, MODALITIES, Batch, Prediction


class Target(Protocol):
    """What a training step needs of the smoothing."""

    def target(self, labels: Tensor, prior: Tensor | None) -> Tensor:
        """Labels ``(B, H, W)`` and prior -> what the loss compares with."""
        ...


class SegmentationModule(L.LightningModule):
    """Trains a fusion network on noisy labels.

    Args:
        net: Images by modality -> logits by branch.
        branches: Names of the branches, in the order in which they are reported.
        smoothing: Makes the training target.
        selection: Says which pixels count.
        objective: The loss.
        optimizer: Parameters -> optimiser.
        scheduler: Optimiser -> Lightning's scheduler settings.
        classes: Class names.
        has_truth: True when batches carry exact labels beside the noisy ones.
        check_finite_every: Steps between two looks at whether the logits are finite, on an accelerator.
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        branches: Sequence[str],
        smoothing: Target,
        selection: CrossModalSelection | NoSelection,
        objective: Objective,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer], dict[str, Any]],
        classes: Sequence[str],
        has_truth: bool,
        check_finite_every: int,
    ) -> None:
        super().__init__()
        self.net = net
        self.smoothing = smoothing
        self.selection = selection
        self.objective = objective
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.classes = list(classes)
        self.guard = FiniteGuard(check_finite_every)
        # Against the noisy labels, and against the truth where there is one.
        self.scores = {("noisy", branch): SegmentationScores(len(classes)) for branch in branches}
        self.quality: dict[str, SelectionQuality] = {}
        if has_truth:
            self.scores |= {("true", branch): SegmentationScores(len(classes)) for branch in branches}
            self.quality = {branch: SelectionQuality() for branch in branches if branch in MODALITIES}
        # Registered, so that they move to the device with the module.
        self.metrics = nn.ModuleList([*self.scores.values(), *self.quality.values()])
        self.val_loss = WeightedMean()

    def forward(self, images: dict[str, Tensor]) -> dict[str, Prediction]:
        """Images by modality, ``(B, K, H, W)`` -> predictions by branch, ``(B, C, H, W)``."""
        return {branch: Prediction(logits) for branch, logits in self.net(images).items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step: logits, target, selection, loss."""
        predictions = self(batch.images)
        self.guard.watch(predictions, self.global_step)
        target = self.smoothing.target(batch.labels, batch.prior)
        selection = self.selection(predictions, batch.labels, self.current_epoch)
        loss = self.objective(predictions, target, selection)
        self._log_training(batch, loss.total, loss.terms, selection.label)
        return loss.total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Hard labels, no selection: a number that means the same in every epoch."""
        predictions = self(batch.images)
        loss = self.objective(predictions, batch.labels)
        self.val_loss.update(loss.total, (batch.labels != IGNORE_INDEX).sum())
        for (kind, branch), score in self.scores.items():
            labels = batch.labels if kind == "noisy" else batch.truth
            assert labels is not None
            score.update(predictions[branch].logits.argmax(dim=1), labels)

    def on_train_epoch_end(self) -> None:
        """Logs how clean the selection was, once an epoch."""
        self.guard.check()
        for branch, quality in self.quality.items():
            values = quality.compute()
            self.log_dict({f"train/{branch}/{name}": value for name, value in values.items()}, sync_dist=True)
            quality.reset()

    def on_validation_epoch_end(self) -> None:
        """Logs the scores a branch and class, from confusion matrices summed over all processes."""
        self.log("val/loss", self.val_loss.compute(), prog_bar=True, sync_dist=True)
        self.val_loss.reset()
        for (kind, branch), score in self.scores.items():
            suffix = "" if kind == "noisy" else f"_{kind}"
            values = score.compute()
            for name in ("oa", "aa", "miou", "mf1"):
                shown = name == "miou"
                self.log(f"val/{branch}/{name}{suffix}", values[name], prog_bar=shown, sync_dist=True)
            for label, iou in zip(self.classes, values["iou"], strict=True):
                self.log(f"val/{branch}/iou{suffix}/{re.sub(r'[^a-z0-9]+', '_', label)}", iou, sync_dist=True)
            score.reset()

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule from their factories."""
        optimizer = self.optimizer(self.parameters())
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}

    def _log_training(
        self, batch: Batch, total: Tensor, terms: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> None:
        # Means over the epoch stay on the device until its end: no value is asked for within a step.
        values = {"train/loss": total} | {f"train/{name}": value for name, value in terms.items()}
        detached = {name: value.detach() for name, value in values.items()}
        self.log_dict(detached, on_step=False, on_epoch=True, batch_size=len(batch.labels), sync_dist=True)
        if batch.truth is not None:
            for branch, quality in self.quality.items():
                quality.update(weights[branch], batch.labels, batch.truth)
