"""Freezes encoders while a training goes on."""

from __future__ import annotations

import lightning as L

from cromss.backbone import Freezing, trainable
from cromss.trainer.module import SegmentationModule


class FreezeEncoders(L.Callback):
    """Puts the encoders into the state of the epoch that starts; so a run may resume on either side of a thaw.

    Weights that stay frozen to the end have to be so before the processes of a distributed training agree on what to
    exchange, and those that thaw must not: the former get no gradient from the moment this is made.

    Args:
        freezing: What to freeze, and how long.
        module: The module to train.
    """

    def __init__(self, freezing: Freezing, module: SegmentationModule) -> None:
        self.freezing = freezing
        self.encoders = module.net.encoders()
        self.weights = list(trainable(self.encoders))
        if freezing.epochs is None and freezing.is_on(epoch=0):
            for weight in self.weights:
                weight.requires_grad_(False)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Freezes or thaws."""
        self.freezing.apply(self.encoders, self.weights, trainer.current_epoch)
