"""Learning-rate schedules in the form that Lightning takes them."""

from __future__ import annotations

from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau


def better(monitor: str) -> Literal["min", "max"]:
    """Whether a metric of this name is better when it is low, as a loss, or high, as a score."""
    return "min" if "loss" in monitor else "max"


def plateau(optimizer: Optimizer, factor: float, patience: int, threshold: float, monitor: str) -> dict[str, Any]:
    """Lowers the rate when a metric stops getting better.

    Args:
        optimizer: Whose rate to change.
        factor: The rate is multiplied by this, in (0, 1).
        patience: Epochs without a better value before that.
        threshold: Relative improvement that counts as better.
        monitor: Name of a logged metric, e.g. ``"val/loss"``.

    Returns:
        A scheduler with what Lightning needs to drive it.
    """
    scheduler = ReduceLROnPlateau(optimizer, better(monitor), factor=factor, patience=patience, threshold=threshold)
    return {"scheduler": scheduler, "monitor": monitor, "interval": "epoch"}


def exponential(optimizer: Optimizer, gamma: float) -> dict[str, Any]:
    """Multiplies the rate by `gamma` after every epoch."""
    return {"scheduler": ExponentialLR(optimizer, gamma), "interval": "epoch"}


def constant(optimizer: Optimizer) -> dict[str, Any]:
    """Leaves the rate as it is."""
    return {"scheduler": LambdaLR(optimizer, lambda _: 1.0), "interval": "epoch"}
