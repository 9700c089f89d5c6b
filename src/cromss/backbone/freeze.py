"""Which weights a training changes: frozen encoders, for all of it or up to an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from cromss.fusion.images import FusionNetwork

MODES = ("none", "frozen", "reference")


@dataclass(frozen=True)
class Freezing:
    """Says what happens to the encoders of a network.

    Attributes:
        mode: ``"none"`` trains them. ``"frozen"`` fixes their weights and the statistics of their batch norm; nothing
            of them is kept for a backward pass. ``"reference"`` fixes the weights and lets the statistics follow the
            data, as the published program does.
        epochs: The encoders are trained from this epoch on, at least 1; None keeps them frozen to the end.

    Raises:
        ValueError: A value that is not allowed.
    """

    mode: str
    epochs: int | None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f"backbone.freeze={self.mode} is unknown: choose one of {', '.join(MODES)}")
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"backbone.freeze_epochs={self.epochs}: at least 1, or null to freeze to the end")
        if self.epochs is not None and self.mode == "none":
            raise ValueError(
                f"backbone.freeze_epochs={self.epochs} ends a freeze and backbone.freeze=none begins none: "
                "say backbone.freeze=frozen"
            )

    def is_on(self, epoch: int) -> bool:
        """Whether the encoders are frozen in an epoch, counted from 0."""
        return self.mode != "none" and (self.epochs is None or epoch < self.epochs)

    def apply(self, encoders: Sequence[nn.Module], weights: Sequence[nn.Parameter], epoch: int) -> None:
        """Puts encoders into the state of an epoch; the same from whatever state they are in.

        Args:
            encoders: The encoders.
            weights: Those of their weights that can be trained.
            epoch: Counted from 0.
        """
        frozen = self.is_on(epoch)
        for weight in weights:
            weight.requires_grad_(not frozen)
        for encoder in encoders:
            encoder.train(not (frozen and self.mode == "frozen"))


def encoders_of(net: FusionNetwork) -> list[nn.Module]:
    """The encoders of a fusion network, see `cromss.fusion.images.Parts`."""
    return [net.get_submodule(parts.encoder) for parts in net.parts.values()]


def leave_out_idle(net: FusionNetwork) -> list[str]:
    """Marks the weights that have no influence on the logits as not to be trained.

    Some decoders (PSPNet, FPN, DeepLabV3+, ...) pass over stages of the encoder. Their weights get no gradient, which
    stops a training that is distributed over processes.

    Args:
        net: A fusion network on the CPU, not trained yet. Its batch-norm statistics stay as they are.

    Returns:
        The names of those weights.
    """
    named = [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]
    modes = {module: module.training for module in net.modules()}
    net.eval()
    images = {modality: torch.zeros(1, bands, 128, 128) for modality, bands in net.bands.items()}
    logits: dict[str, Tensor] = net(images)
    total = torch.stack([branch.sum() for branch in logits.values()]).sum()
    gradients = torch.autograd.grad(total, [weight for _, weight in named], allow_unused=True)
    for module, mode in modes.items():
        module.training = mode
    idle = [pair for pair, gradient in zip(named, gradients, strict=True) if gradient is None]
    for _, weight in idle:
        weight.requires_grad_(False)
    return [name for name, _ in idle]


def trainable(modules: Sequence[nn.Module]) -> Iterator[nn.Parameter]:
    """The weights of modules that can be trained, each once."""
    seen = {id(weight): weight for module in modules for weight in module.parameters() if weight.requires_grad}
    yield from seen.values()
