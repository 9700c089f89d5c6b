"""Which weights a training changes: frozen encoders, for all of it or up to an epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from cromss.backbone.options import FREEZE_MODES, unknown


@dataclass(frozen=True)
class Freezing:
    """Says which weights of the encoders are trained, and from which epoch on.

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
        if self.mode not in FREEZE_MODES:
            raise ValueError(unknown("backbone.freeze", self.mode, FREEZE_MODES))
        if self.epochs is not None and self.epochs < 1:
            raise ValueError(f"backbone.freeze_epochs={self.epochs}: at least 1, or null to freeze to the end")
        if self.epochs is not None and self.mode == "none":
            raise ValueError(
                f"backbone.freeze_epochs={self.epochs} ends a freeze and backbone.freeze=none begins none: "
                "set backbone.freeze=frozen"
            )

    def is_on(self, epoch: int) -> bool:
        """Whether the encoders are frozen in an epoch, counted from 0."""
        return self.mode != "none" and (self.epochs is None or epoch < self.epochs)

    def apply(self, encoders: Sequence[nn.Module], weights: Sequence[nn.Parameter], epoch: int) -> None:
        """Puts encoders into the state of an epoch, whatever state they were in.

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


def trainable(modules: Sequence[nn.Module]) -> Iterator[nn.Parameter]:
    """The weights of modules that can be trained, each once."""
    seen = {id(weight): weight for module in modules for weight in module.parameters() if weight.requires_grad}
    yield from seen.values()
