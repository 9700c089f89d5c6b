"""Learning rates: of the parts of a network, and schedules in the form that Lightning takes them.

Settings are checked by the schema, see `cromss.config.trainer`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau, StepLR

from cromss.backbone import decoder_blocks
from cromss.config.resolvers import better
from cromss.fusion import FusionNetwork


def parameter_groups(net: FusionNetwork, lr: float, order: str, factor: float) -> list[dict[str, Any]]:
    """Groups the weights of a network by their learning rate.

    Args:
        net: A fusion network.
        lr: The rate of the encoders, and the highest one of the decoders.
        order: ``"equal"``; ``"rising"``: the head learns at `lr` and each block before it at `factor` times the rate of
            the next one; or ``"falling"``: the first block learns at `lr` and each later one at `factor` times the
            rate of the block before.
        factor: In (0, 1].

    Returns:
        Parameter groups for an optimiser, the highest rate first; a single one for ``"equal"``.
    """
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
    """Lowers the rate when a metric stops improving.

    Args:
        optimizer: Whose rate to change.
        factor: The rate is multiplied by this, in (0, 1).
        patience: Epochs without a better value before that.
        threshold: Relative improvement that counts as better.
        monitor: Name of a logged metric, e.g. ``"val/loss"``.

    Returns:
        A scheduler with the settings that Lightning needs.
    """
    scheduler = ReduceLROnPlateau(optimizer, better(monitor), factor=factor, patience=patience, threshold=threshold)
    return {"scheduler": scheduler, "monitor": monitor}


def exponential(optimizer: Optimizer, gamma: float) -> dict[str, Any]:
    """Multiplies the rate by `gamma`, in (0, 1], after every epoch."""
    return {"scheduler": ExponentialLR(optimizer, gamma)}


def step(optimizer: Optimizer, every: int, gamma: float) -> dict[str, Any]:
    """Multiplies the rate by `gamma`, in (0, 1], after every `every` epochs."""
    return {"scheduler": StepLR(optimizer, every, gamma)}


def cosine(optimizer: Optimizer, epochs: int, lowest: float) -> dict[str, Any]:
    """Lowers the rate along half a cosine and keeps it there; torch's own schedule rises again.

    Args:
        optimizer: Whose rates to change. Parts that learn at a share of the highest rate keep that share.
        epochs: Epochs down to the lowest rate, at least 1.
        lowest: That rate, of the part with the highest one.

    Raises:
        ValueError: `lowest` is above the rate to start from.
    """
    highest = max(group["lr"] for group in optimizer.param_groups)
    if lowest > highest:
        raise ValueError(f"trainer.scheduler.lowest={lowest} is above trainer.optimizer.lr={highest}: lower it")
    floor = lowest / highest if highest else 1.0

    def share(epoch: int) -> float:
        progress = min(epoch / epochs, 1.0)
        return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2

    return {"scheduler": LambdaLR(optimizer, share)}


def constant(optimizer: Optimizer) -> dict[str, Any]:
    """Leaves the rate as it is."""
    return {"scheduler": LambdaLR(optimizer, lambda _: 1.0)}
