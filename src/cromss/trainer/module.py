"""The one LightningModule: pretraining, its ablations and fine-tuning are the same lines with other parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import lightning as L
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import Metric

from cromss.dataset.classes import check_class_names, metric_keys
from cromss.fusion import FUSED, FusionNetwork, fused_probs
from cromss.loss import Loss, Objective
from cromss.runs.results import MEANS
from cromss.selection import CrossModalSelection, NoSelection
from cromss.trainer.guard import FiniteGuard
from cromss.trainer.metrics import SegmentationScores, SelectionQuality, WeightedMean
from cromss.types import MODALITIES, Batch, PixelWeights, Prediction, labelled


class SegmentationModule(L.LightningModule):
    """Trains a fusion network and measures its maps.

    Args:
        net: Images by modality -> logits by branch.
        selection: Says which pixels count.
        objective: The loss.
        optimizer: Parameters -> optimiser.
        scheduler: Optimiser -> Lightning's scheduler settings.
        classes: Class names; see `cromss.dataset.classes.check_class_names`.
        has_truth: True when batches carry exact labels beside the noisy ones.
        check_finite_every: Steps between two checks whether the logits are finite, on an accelerator.

    Attributes:
        test_branches: The branches, and where there are several also `FUSED`, their mean.
        test_scores: Confusion matrices of the last test against the dataset's labels, by test branch.
    """

    def __init__(
        self,
        net: FusionNetwork,
        *,
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
        self.branches = net.branches
        self.selection = selection
        self.objective = objective
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.classes = list(check_class_names(classes, "dataset.classes"))
        self._class_keys = metric_keys(self.classes)
        self.guard = FiniteGuard(check_finite_every)
        # Against the noisy labels, and against the truth where there is one.
        self.scores = {("noisy", branch): SegmentationScores(len(classes)) for branch in self.branches}
        self.quality: dict[str, SelectionQuality] = {}
        if has_truth:
            self.scores |= {("true", branch): SegmentationScores(len(classes)) for branch in self.branches}
            self.quality = {branch: SelectionQuality() for branch in self.branches if branch in MODALITIES}
        self.test_branches = (*self.branches, FUSED) if len(self.branches) > 1 else self.branches
        self.test_scores = {branch: SegmentationScores(len(classes)) for branch in self.test_branches}
        # Registered, so that they move to the device with the module.
        self.metrics = nn.ModuleList([*self.scores.values(), *self.quality.values(), *self.test_scores.values()])
        self.val_loss = WeightedMean()
        self.train_means: dict[str, WeightedMean] = {}

    def forward(self, images: dict[str, Tensor]) -> dict[str, Prediction]:
        """Images by modality, ``(B, K, H, W)`` -> predictions by branch, ``(B, C, H, W)``."""
        # The network may work channels-last; selection and losses are faster on planes.
        return {branch: Prediction(logits.contiguous()) for branch, logits in self.net(images).items()}

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One step; the target was made with the batch."""
        predictions = self._predict(batch, self.global_step)
        weights = self.selection(predictions, batch.labels, self.current_epoch)
        loss = self.objective(predictions, batch.target, weights)
        self._add_to_means(batch, loss, weights)
        return loss.total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Hard labels, no selection: a number that means the same in every epoch."""
        predictions = self._predict(batch, self.global_step)
        loss = self.objective(predictions, batch.target)
        self.val_loss.update(loss.total, labelled(batch.labels).sum())
        predicted = _classes(predictions)
        for (kind, branch), score in self.scores.items():
            labels = batch.labels if kind == "noisy" else batch.truth
            assert labels is not None
            score.update(predicted[branch], labels)

    def on_validation_epoch_end(self) -> None:
        """Logs the scores per branch and class, from confusion matrices summed over all processes."""
        self.guard.check()
        self.log("val/loss", _compute_and_reset(self.val_loss), prog_bar=True)
        for (kind, branch), score in self.scores.items():
            values = _compute_and_reset(score)
            numbers = [*(values[name] for name in MEANS), *values["iou"]]
            for name, value in zip(self._score_names(kind, branch), numbers, strict=True):
                self.log(name, value, prog_bar="/miou" in name)

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Counts a batch; returns the classes ``(B, H, W)`` that each test branch predicts."""
        predictions = self._predict(batch, batch_idx)
        predicted = _classes(predictions)
        if FUSED in self.test_branches:
            predicted[FUSED] = fused_probs(predictions.values()).argmax(dim=1)
        for branch, score in self.test_scores.items():
            score.update(predicted[branch], batch.labels)
        return predicted

    def on_test_start(self) -> None:
        """Resets the scores."""
        for score in self.test_scores.values():
            score.reset()

    def on_test_epoch_end(self) -> None:
        """Raises where logits were not finite."""
        self.guard.check()

    def on_train_epoch_end(self) -> None:
        """Logs the means over the epoch and how clean the selection was; steps a scheduler that watches a metric."""
        self.guard.check()
        for name, mean in self.train_means.items():
            self.log(name, _compute_and_reset(mean))
        for branch, quality in self.quality.items():
            self.log_dict({f"train/{branch}/{name}": value for name, value in _compute_and_reset(quality).items()})
        # Lightning would step it after the checkpoint is written, and a resumed run would have missed that step.
        for config in self.trainer.lr_scheduler_configs:
            if isinstance(config.scheduler, ReduceLROnPlateau):
                config.scheduler.step(self.trainer.callback_metrics[str(config.monitor)])

    def lr_scheduler_step(self, scheduler: Any, metric: Any | None) -> None:
        """Leaves out the step that `on_train_epoch_end` has done."""
        if metric is None:
            super().lr_scheduler_step(scheduler, metric)

    def epoch_sums(self) -> dict[str, Metric]:
        """What is added up over the steps of an epoch, by name."""
        return {**self.train_means, **self.quality}

    def restore_epoch_sums(self, sums: Mapping[str, Mapping[str, float]]) -> None:
        """Restores the sums of a checkpoint within an epoch.

        Args:
            sums: Name, as in `epoch_sums` -> state of that metric -> its value on this process.
        """
        for name, states in sums.items():
            metric = self.quality.get(name) or self.train_means.setdefault(name, WeightedMean().to(self.device))
            for state, value in states.items():
                getattr(metric, state).fill_(value)

    def validation_names(self) -> list[str]:
        """Names of everything that a validation logs."""
        return ["val/loss", *(name for kind, branch in self.scores for name in self._score_names(kind, branch))]

    def configure_optimizers(self) -> Any:
        """Optimiser and schedule from their factories."""
        optimizer = self.optimizer(self.parameters())
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(optimizer)}

    def _score_names(self, kind: str, branch: str) -> list[str]:
        """``val/s2/miou``, ``val/s2/miou_true``, ``val/s2/iou/built_area``: the means, then the IoU of each class."""
        suffix = "" if kind == "noisy" else f"_{kind}"
        means = [f"val/{branch}/{name}{suffix}" for name in MEANS]
        return [*means, *(f"val/{branch}/iou{suffix}/{key}" for key in self._class_keys)]

    def _predict(self, batch: Batch, step: int) -> dict[str, Prediction]:
        predictions = self(batch.images)
        self.guard.watch(predictions, step)
        return predictions

    def _add_to_means(self, batch: Batch, loss: Loss, weights: PixelWeights) -> None:
        # Not `log_dict`: with several processes Lightning reduces its means whenever somebody first reads them, and the
        # progress bar reads them on one process alone.
        for name, value in {"loss": loss.total, **loss.terms}.items():
            mean = self.train_means.setdefault(f"train/{name}", WeightedMean().to(value.device))
            mean.update(value.detach(), len(batch.labels))
        if batch.truth is not None:
            for branch, quality in self.quality.items():
                quality.update(weights.label[branch], batch.labels, batch.truth)


def _classes(predictions: Mapping[str, Prediction]) -> dict[str, Tensor]:
    return {branch: prediction.logits.argmax(dim=1) for branch, prediction in predictions.items()}


def _compute_and_reset(metric: Metric) -> Any:
    """The value over all processes; then resets the metric."""
    value = metric.compute()
    metric.reset()
    return value
