"""Stops a run whose logits are no longer finite, and names the first such step."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cromss.types import Prediction


class NonFiniteLogitsError(ValueError):
    """Logits that are NaN or infinite: the modality and the step are in the message."""


class FiniteGuard:
    """Remembers, on the device, the first step at which the logits of a branch were not finite.

    Reading from the device in each step would make the host wait for it. So a step only writes a number there, and
    `check` reads it: after every step on the CPU, where reading costs nothing, else every `every` steps and at the end
    of each epoch and validation, before a checkpoint is written.

    Args:
        every: Steps between two checks on an accelerator.
    """

    def __init__(self, every: int) -> None:
        self.every = every
        self._first_step: dict[str, Tensor] = {}

    @torch.no_grad()
    def watch(self, predictions: Mapping[str, Prediction], step: int) -> None:
        """Notes on the device whether the logits of this step are finite; calls `check` where it is due.

        Args:
            predictions: Branch name -> prediction.
            step: The number of this step.
        """
        for branch, prediction in predictions.items():
            # A sum is finite only if all its terms are; float32, since a sum of float16 overflows by itself.
            broken = ~torch.isfinite(prediction.logits.sum(dtype=torch.float32))
            first = self._first_step.setdefault(branch, torch.full_like(broken, -1, dtype=torch.int64))
            first.copy_(torch.where(broken & (first < 0), step, first))
        on_cpu = all(first.device.type == "cpu" for first in self._first_step.values())
        if on_cpu or step % self.every == 0:
            self.check()

    def check(self) -> None:
        """Raises NonFiniteLogitsError where some logits were not finite."""
        for branch, first in self._first_step.items():
            step = int(first)
            if step >= 0:
                raise NonFiniteLogitsError(
                    f"the logits of modality {branch} are not finite at step {step}: the training diverged. "
                    "Lower trainer.optimizer.lr, use trainer.precision=32-true or bf16-mixed, or look for extreme "
                    "pixel values; the last checkpoint is that of the epoch before"
                )
