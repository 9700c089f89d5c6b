"""Where the time of a training step goes: the network's own forward and backward pass, and everything else."""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from benchmarks.timing import one_thread
from cromss.config import register_resolvers
from cromss.dataset.datamodule import LocationDataModule
from cromss.paths import config_dir
from cromss.trainer.module import SegmentationModule


class Stopwatch(L.Callback):
    """Adds up the time inside the network and the time of whole steps, after `warm_up` steps."""

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.seconds = {"network": 0.0, "total": 0.0}
        self._forward = self._backward = self._step = 0.0
        self._steps = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Watches the network's forward pass."""
        pl_module.net.register_forward_pre_hook(lambda *_: setattr(self, "_forward", time.process_time()))
        pl_module.net.register_forward_hook(lambda *_: self._add("network", self._forward))

    def on_before_backward(self, trainer: L.Trainer, pl_module: L.LightningModule, loss: torch.Tensor) -> None:
        """Starts the backward pass."""
        self._backward = time.process_time()

    def on_after_backward(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ends the backward pass."""
        self._add("network", self._backward)

    def on_train_batch_end(self, *_: Any) -> None:
        """Ends a step."""
        # From the end of one step to the end of the next: waiting for data and moving it count as well.
        if self._step:
            self._add("total", self._step)
        self._steps += 1
        self._step = time.process_time()

    def _add(self, name: str, since: float) -> None:
        if self._steps >= self.warm_up:
            self.seconds[name] += time.process_time() - since


def measure_step(batch: int, steps: int) -> dict[str, float]:
    """Trains a ResNet-50 U-Net on 264 px patches, as published, through the real Trainer.

    Args:
        batch: Samples a step.
        steps: Steps to measure, after one that warms up.

    Returns:
        Seconds a step, and the share of them inside the network's forward and backward pass. The backward pass of
        selection and losses is part of the latter; `head.compare_head` measures it by itself.
    """
    register_resolvers()
    # On one thread, as the head alone is measured.
    with one_thread(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        overrides = [
            "backbone=resnet50",
            "trainer=pretrain",
            "dataset.size=264",
            f"dataset.locations={batch * 2 + 1}",
            f"dataset.cache={folder}",
        ]
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("config", overrides)
        module, data = _parts(cfg, batch)
        stopwatch = Stopwatch(warm_up=1)
        trainer = L.Trainer(
            accelerator="cpu",
            max_epochs=steps + 1,
            limit_train_batches=1,
            limit_val_batches=0,
            logger=False,
            callbacks=[stopwatch],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            default_root_dir=Path(folder),
        )
        trainer.fit(module, data)
    seconds = stopwatch.seconds
    return {"step_s": seconds["total"] / steps, "network_share": seconds["network"] / seconds["total"]}


def _parts(cfg: Any, batch: int) -> tuple[SegmentationModule, LocationDataModule]:
    smoothing, net = instantiate(cfg.smoothing), instantiate(cfg.fusion)
    view = ("bands", "season", "eval_season", "normalisation", "crop", "flip", "rotate", "degrees", "split_seed")
    data = LocationDataModule(
        instantiate(cfg.dataset.reader),
        modalities=list(net.bands),
        classes=list(cfg.dataset.classes),
        smoothing=smoothing,
        val_fraction=0,
        batch_size=batch,
        workers=0,
        seed=1,
        **{key: cfg.dataset[key] for key in view},
    )
    module = SegmentationModule(
        net,
        branches=net.branches,
        smoothing=smoothing,
        selection=instantiate(cfg.selection),
        objective=instantiate(cfg.loss),
        optimizer=instantiate(cfg.trainer.optimizer),
        scheduler=lambda optimizer: {"scheduler": torch.optim.lr_scheduler.ConstantLR(optimizer, 1)},
        classes=cfg.dataset.classes,
        has_truth=True,
        check_finite_every=50,
    )
    return module, data
