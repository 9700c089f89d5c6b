"""What freezing an encoder saves, and what a test costs beside the network's own forward pass."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import lightning as L
from hydra.utils import instantiate

from benchmarks.training import WARM_UP, Parts, Stopwatch, bare_trainer, resnet50
from cromss.trainer.freezing import FreezeEncoders

SIZE = 256
"""Pixels per side of a patch, as in DFC2020."""


def compare_frozen(batch: int, steps: int) -> dict[str, float]:
    """Fine-tunes a ResNet-50 U-Net with its encoder trained, and with it frozen.

    Args:
        batch: Samples per step.
        steps: Steps to measure, after `WARM_UP`.

    Returns:
        Seconds per step of both, ``full_s`` and ``frozen_s``, and how many times faster the latter is, ``ratio``.
    """
    full, frozen = (_step_seconds(mode, batch, steps) for mode in ("none", "frozen"))
    return {"full_s": full, "frozen_s": frozen, "ratio": full / frozen}


def measure_test(locations: int, batch: int) -> dict[str, float]:
    """Tests a ResNet-50 U-Net on patches from a store, through the real module, data and Trainer.

    Args:
        locations: Patches to test.
        batch: Samples per batch.

    Returns:
        ``test_s``, seconds per patch, and ``network``, the share of them in the network's own forward pass.
    """
    with _fine_tuning(batch, f"dataset.test_locations={locations + batch}") as (_, module, data, folder):
        watch = ForwardWatch()
        bare_trainer(folder, [watch]).test(module, data, verbose=False)
    return {"test_s": watch.total / locations, "network": watch.network / watch.total}


class ForwardWatch(L.Callback):
    """Adds up wall time of a test after its first batch, and that of the network's forward passes in it."""

    def __init__(self) -> None:
        self.network = 0.0
        self.total = 0.0
        self._batches = 0

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Watches the network."""
        pl_module.net.register_forward_pre_hook(lambda *_: self._begin())
        pl_module.net.register_forward_hook(lambda *_: self._end())

    def on_test_batch_end(self, *_: Any) -> None:
        """The first batch also pays for memory that later ones use again."""
        self._batches += 1
        if self._batches == 1:
            self.network, self._started = 0.0, time.perf_counter()
        else:
            self.total = time.perf_counter() - self._started

    def _begin(self) -> None:
        self._since = time.perf_counter()

    def _end(self) -> None:
        self.network += time.perf_counter() - self._since


def _step_seconds(freeze: str, batch: int, steps: int) -> float:
    overrides = (f"backbone.freeze={freeze}", f"dataset.locations={2 * batch}", "dataset.test_locations=1")
    with _fine_tuning(batch, *overrides) as (cfg, module, data, folder):
        watch = Stopwatch(WARM_UP)
        callbacks = [FreezeEncoders(instantiate(cfg.backbone.freezing), module), watch]
        bare_trainer(folder, callbacks, max_steps=steps + WARM_UP).fit(module, data)
    return watch.seconds["step"] / steps


def _fine_tuning(batch: int, *overrides: str) -> AbstractContextManager[Parts]:
    """A fine-tuning on exact labels of the embedded dataset."""
    return resnet50(batch, "trainer=finetune", "dataset=synthetic_exact", f"dataset.size={SIZE}", *overrides)
