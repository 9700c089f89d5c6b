"""Learning rates: of the parts of a network, and schedules in the form that Lightning takes them."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau, StepLR

from cromss.backbone import decoder_blocks
from cromss.config.resolvers import better
from cromss.config.trainer import RATES
from cromss.fusion import FusionNetwork


def parameter_groups(net: FusionNetwork, lr: float, order: str, factor: float) -> list[dict[str, Any]]:
    """Splits a network's weights by the rate at which they learn.

    Args:
        net: A fusion network.
        lr: The rate of the encoders, and the highest one of the decoders.
        order: ``"equal"``; ``"rising"``, where the head learns at `lr` and each block before it at `factor` times the
            rate of the one after; or ``"falling"``, where the first block learns at `lr`, and so on to the head.
        factor: In (0, 1].

    Returns:
        Parameter groups for an optimiser, the highest rate first; a single one for ``"equal"``.

    Raises:
        ValueError: An unknown order, or a factor out of range.
    """
    if order not in RATES:
        raise ValueError(f"trainer.decoder_rates={order} is unknown: choose one of {', '.join(RATES)}")
    if not 0 < factor <= 1:
        raise ValueError(f"trainer.decoder_rate_factor={factor} is not in (0, 1]: e.g. 0.8")
    rates = {id(weight): lr for weight in net.parameters()}
    for parts in net.parts.values():
        blocks = [block for _, block in decoder_blocks(net.get_submodule(parts.decoder))]
        blocks.append(net.get_submodule(parts.segmentation_head))
        for position, block in enumerate(blocks):
            steps = {"equal": 0, "rising": len(blocks) - 1 - position, "falling": position}[order]
            rates |= {id(weight): lr * factor**steps for weight in block.parameters()}
    groups: dict[float, list[nn.Parameter]] = defaultdict(list)
    for weight in net.parameters():
        groups[rates[id(weight)]].append(weight)
    return [{"params": groups[rate], "lr": rate} for rate in sorted(groups, reverse=True)]


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
    """Multiplies the rate by `gamma`, in (0, 1], after every epoch; ValueError for another one."""
    _check_gamma(gamma)
    return {"scheduler": ExponentialLR(optimizer, gamma), "interval": "epoch"}


def step(optimizer: Optimizer, every: int, gamma: float) -> dict[str, Any]:
    """Multiplies the rate by `gamma`, in (0, 1], every so many epochs, at least 1; ValueError for other values."""
    _check_gamma(gamma)
    if every < 1:
        raise ValueError(f"trainer.scheduler.every={every}: at least 1 epoch")
    return {"scheduler": StepLR(optimizer, every, gamma), "interval": "epoch"}


def cosine(optimizer: Optimizer, epochs: int, lowest: float) -> dict[str, Any]:
    """Lowers the rate along half a cosine, and keeps it there: torch's own rises again.

    Args:
        optimizer: Whose rates to change. Those of parts that learn at a share of the first part's rate keep that share.
        epochs: Epochs down to the lowest rate, at least 1.
        lowest: That rate, of the part with the highest one.

    Raises:
        ValueError: `epochs` is below 1, or `lowest` is above the rate to start from.
    """
    highest = max(group["lr"] for group in optimizer.param_groups)
    if epochs < 1:
        raise ValueError(f"trainer.scheduler.epochs={epochs}: at least 1")
    if not 0 <= lowest <= highest:
        raise ValueError(
            f"trainer.scheduler.lowest={lowest} is not between 0 and trainer.optimizer.lr={highest}: lower it"
        )
    floor = lowest / highest if highest else 1.0

    def share(epoch: int) -> float:
        progress = min(epoch / epochs, 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return {"scheduler": LambdaLR(optimizer, share), "interval": "epoch"}


def _check_gamma(gamma: float) -> None:
    if not 0 < gamma <= 1:
        raise ValueError(f"trainer.scheduler.gamma={gamma} is not in (0, 1]: e.g. 0.98")


def constant(optimizer: Optimizer) -> dict[str, Any]:
    """Leaves the rate as it is."""
    return {"scheduler": LambdaLR(optimizer, lambda _: 1.0), "interval": "epoch"}
