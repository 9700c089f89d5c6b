"""Freezes encoders while a network is trained."""

from __future__ import annotations

import lightning as L

from cromss.backbone import Freezing, trainable
from cromss.trainer.module import SegmentationModule


class FreezeEncoders(L.Callback):
    """Sets the state of the encoders at the start of each epoch, so that a run may resume before or after unfreezing.

    Weights that stay frozen to the end get no gradient from the moment this is made, and those that are unfrozen later
    keep theirs: the processes of a distributed training agree at its start on which gradients they exchange.

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
        """Freezes or unfreezes."""
        self.freezing.apply(self.encoders, self.weights, trainer.current_epoch)
