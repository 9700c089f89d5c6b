"""Where the time of a training step goes: the network's own forward and backward pass, and everything else."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torch import Tensor, nn

from benchmarks.timing import one_thread
from cromss.cli.build import build
from cromss.config.resolvers import register_resolvers
from cromss.dataset.datamodule import LocationDataModule
from cromss.io.package_data import config_dir
from cromss.trainer.module import SegmentationModule

Parts = tuple[DictConfig, SegmentationModule, LocationDataModule, Path]

WARM_UP = 3
"""Steps until the memory that every step needs has been handed out by the system."""


class Stopwatch(L.Callback):
    """Adds up wall time, by what it was spent on, after `warm_up` steps.

    ``data`` is waiting for a batch and making it ready. ``network`` is the call of the network, and its backward pass
    from the gradient's arrival at the logits to the end. ``head`` lies between the two: selection, smoothing and
    losses, forward and backward (autograd works off first what was computed last), and their metrics. ``update`` is
    the optimiser's. ``step`` is everything, from the end of one step to that of the next.

    Args:
        warm_up: Steps that do not count, at least one.
    """

    def __init__(self, warm_up: int) -> None:
        self.warm_up = warm_up
        self.seconds = dict.fromkeys(("data", "network", "head", "update", "step"), 0.0)
        self._since: dict[str, float] = {}
        self._steps = 0

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Watches the network."""
        pl_module.net.register_forward_pre_hook(lambda *_: self._begin("network"))
        pl_module.net.register_forward_hook(self._after_forward)

    def on_train_batch_start(self, *_: Any) -> None:
        """The batch is ready."""
        self._end("data")

    def on_after_backward(self, *_: Any) -> None:
        """The backward pass is over."""
        self._end("network")

    def on_before_optimizer_step(self, *_: Any) -> None:
        """The update begins."""
        self._begin("update")

    def on_train_batch_end(self, *_: Any) -> None:
        """A step is over, the next begins with its data."""
        self._end("update")
        self._end("step")
        self._steps += 1
        self._begin("step")
        self._begin("data")

    def _after_forward(self, net: nn.Module, images: Any, logits: dict[str, Tensor]) -> None:
        self._end("network")
        self._begin("head")
        for branch in logits.values():
            branch.register_hook(self._gradient_arrives)

    def _gradient_arrives(self, gradient: Tensor) -> None:
        # Of several branches the first one counts: what follows changes nothing.
        self._end("head")
        self._begin("network")

    def _begin(self, name: str) -> None:
        self._since.setdefault(name, time.perf_counter())

    def _end(self, name: str) -> None:
        since = self._since.pop(name, None)
        if since is not None and self._steps >= self.warm_up:
            self.seconds[name] += time.perf_counter() - since


def bare_trainer(folder: Path, callbacks: list[L.Callback], max_steps: int = -1) -> L.Trainer:
    """A Trainer that writes nothing, so that nothing but the work itself is measured."""
    return L.Trainer(
        accelerator="cpu",
        max_steps=max_steps,
        limit_val_batches=0,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )


def measure_step(batch: int, steps: int) -> dict[str, float]:
    """Trains a ResNet-50 U-Net on 264 px patches, as published, through the real module, data and Trainer.

    Args:
        batch: Samples per step.
        steps: Steps to measure, after `WARM_UP`.

    Returns:
        ``step_s``, seconds per step, and the share of them that each part of `Stopwatch` took.
    """
    overrides = ("trainer=pretrain", "dataset.size=264", f"dataset.locations={2 * batch}", "dataset.val_fraction=0")
    # On one thread, as the head alone is measured.
    with resnet50(batch, *overrides) as (_, module, data, folder):
        stopwatch = Stopwatch(WARM_UP)
        bare_trainer(folder, [stopwatch], max_steps=steps + WARM_UP).fit(module, data)
    total = stopwatch.seconds.pop("step")
    return {"step_s": total / steps, **{name: value / total for name, value in stopwatch.seconds.items()}}


@contextmanager
def resnet50(batch: int, *overrides: str) -> Iterator[Parts]:
    """A ResNet-50 U-Net on one thread: its config, module and data, and a folder for what it writes."""
    register_resolvers()
    with one_thread(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        settings = [
            "backbone=resnet50",
            "trainer/hardware=cpu",
            "trainer/scheduler=none",
            f"trainer.batch_size={batch}",
            "trainer.workers=0",
            f"dataset.cache={folder}",
            *overrides,
        ]
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            cfg = compose("config", settings)
        yield cfg, *build(cfg), Path(folder)
