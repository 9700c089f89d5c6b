"""What makes a run resume exactly where it was: random numbers, sums and callbacks of an unfinished epoch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint
from torchmetrics.utilities.distributed import gather_all_tensors

from cromss.trainer.metrics_file import MetricsFile
from cromss.trainer.module import SegmentationModule

log = logging.getLogger(__name__)


class SeedEveryStep(L.Callback):
    """Makes the random numbers of a step, e.g. of dropout, depend only on the seed, epoch, step and process.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seeds torch on all devices, without waiting for them."""
        entropy = (self.seed, trainer.current_epoch, batch_idx, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


class MetricsBeforeCheckpoint(Checkpoint):
    """Writes the row of an epoch into the metrics file before the checkpoint of that epoch.

    Lightning writes it afterwards, so that a run killed between the two would resume without the row. It must precede
    the callbacks that save, and is a `Checkpoint` because Lightning moves those behind all others.
    """

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes the row; Lightning then writes the same again."""
        means = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("train/")}
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                logger.log_metrics({**means, "epoch": trainer.current_epoch}, step=trainer.global_step - 1)


class MidEpochState(Checkpoint):
    """Lets a run resume within an epoch.

    Saves the sums that the module adds up over an epoch, one number per process. And Lightning does not call
    `on_train_epoch_start` where it resumes within an epoch, at which callbacks freeze weights and log the rate: it is
    called here. As a `Checkpoint`, this callback comes after them.
    """

    def __init__(self) -> None:
        self._sums: dict[str, dict[str, list[float]]] = {}

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the sums; called on every process."""
        assert isinstance(pl_module, SegmentationModule)
        checkpoint["processes"] = trainer.world_size
        checkpoint["epoch_sums"] = _all_gather(pl_module)

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keeps the sums; ValueError where another number of processes began the epoch."""
        progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
        processes = checkpoint.get("processes", trainer.world_size)
        if processes != trainer.world_size:
            if progress["ready"] != progress["processed"]:
                raise ValueError(
                    f"the checkpoint was written within an epoch by {processes} process(es), and now there are "
                    f"{trainer.world_size}: set trainer.devices accordingly, or resume from the end of an epoch"
                )
            log.warning(
                "Resuming with %d process(es) instead of %d: batches differ from those of an uninterrupted run",
                trainer.world_size,
                processes,
            )
        self._sums = checkpoint.get("epoch_sums", {})

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restores the sums, and starts the epoch of the other callbacks."""
        if not trainer.fit_loop.restarted_mid_epoch:
            return
        assert isinstance(pl_module, SegmentationModule)
        own = {
            name: {state: values[trainer.global_rank] for state, values in states.items()}
            for name, states in self._sums.items()
        }
        pl_module.restore_epoch_sums(own)
        for callback in trainer.callbacks:  # type: ignore[attr-defined]
            callback.on_train_epoch_start(trainer, pl_module)


class StepCheckpoint(Checkpoint):
    """Writes a checkpoint every few steps, replacing the one before.

    Args:
        every: Optimiser steps between two, at least 1.
        path: Its file.
    """

    def __init__(self, every: int, path: Path) -> None:
        self.every = every
        self.path = path

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes one where it is due."""
        # Not at the last step: Lightning would resume from it in the next epoch, without the validation of this one.
        if trainer.global_step % self.every == 0 and not trainer.is_last_batch:
            assert isinstance(pl_module, SegmentationModule)
            pl_module.guard.check()
            trainer.save_checkpoint(self.path)


def _all_gather(module: SegmentationModule) -> dict[str, dict[str, list[float]]]:
    """Metric -> state -> one number per process, all read at once."""
    states = [
        (name, state, torch.as_tensor(value))
        for name, metric in module.epoch_sums().items()
        for state, value in metric.metric_state.items()
    ]
    if not states:
        return {}
    # float64 holds counts up to 9e15 exactly.
    own = torch.stack([value.double() for _, _, value in states])
    processes = gather_all_tensors(own) if dist.is_available() and dist.is_initialized() else [own]
    table = torch.stack(processes).T.tolist()
    found: dict[str, dict[str, list[float]]] = {}
    for (name, state, _), values in zip(states, table, strict=True):
        found.setdefault(name, {})[state] = values
    return found
