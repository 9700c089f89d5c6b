"""The options of the smoothing group: each knows which prior it needs and which target it makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from cromss.smoothing.mix import check_factors, smooth_labels
from cromss.smoothing.prior import label_prior

KINDS = ("spatiotemporal", "spatial", "temporal")


class Smoothing(Protocol):
    """Two steps, since the prior needs whole patches and the target is made after crop, flips and rotation."""

    def prior(self, labels: Tensor, season: Tensor) -> Tensor | None:
        """Prior of whole patches: labels ``(B, T, H, W)``, season ``(B,)`` -> ``(B, C, H, W)`` or None for no prior."""
        ...

    def target(self, labels: Tensor, prior: Tensor | None) -> Tensor:
        """What losses compare with: labels ``(B, H, W)`` -> the same, or soft labels ``(B, C, H, W)``."""
        ...


class LabelSmoothing:
    """Smoothing towards what stands around a pixel and in its other seasons.

    Args:
        kind: ``"spatiotemporal"``, ``"spatial"`` or ``"temporal"``, see `label_prior`.
        factors: Share of the prior and, where there is a second number, of the uniform distribution.
        num_classes: C.

    Raises:
        ValueError: Unknown kind or factors out of range.
    """

    def __init__(self, kind: str, factors: Sequence[float], num_classes: int) -> None:
        if kind not in KINDS:
            raise ValueError(f"smoothing kind {kind!r} is unknown; choose one of {', '.join(KINDS)}")
        check_factors(factors)
        self.kind, self.factors, self.num_classes = kind, tuple(factors), num_classes

    def prior(self, labels: Tensor, season: Tensor) -> Tensor:
        """See `label_prior`."""
        return label_prior(labels, season, self.kind, self.num_classes)

    def target(self, labels: Tensor, prior: Tensor | None) -> Tensor:
        """See `smooth_labels`; ValueError where the prior is missing."""
        if prior is None:
            raise ValueError(f"{self.kind} smoothing needs the prior that its `prior` made from the whole patches")
        return smooth_labels(labels, prior, self.factors, self.num_classes)


class UniformSmoothing:
    """Classic label smoothing: every class gets the same share of a pixel.

    Args:
        factors: One number, the share of the uniform distribution.
        num_classes: C.

    Raises:
        ValueError: More than one factor, or one out of range.
    """

    def __init__(self, factors: Sequence[float], num_classes: int) -> None:
        check_factors(factors)
        if len(factors) != 1:
            raise ValueError(f"uniform smoothing takes one factor, got {list(factors)}: e.g. smoothing.factors=[0.1]")
        self.factors, self.num_classes = tuple(factors), num_classes

    def prior(self, labels: Tensor, season: Tensor) -> None:
        """No prior is needed."""

    def target(self, labels: Tensor, prior: Tensor | None) -> Tensor:
        """See `smooth_labels`; a prior has no influence."""
        return smooth_labels(labels, None, self.factors, self.num_classes)


class NoSmoothing:
    """Hard labels as they are."""

    def prior(self, labels: Tensor, season: Tensor) -> None:
        """No prior is needed."""

    def target(self, labels: Tensor, prior: Tensor | None) -> Tensor:
        """The labels themselves."""
        return labels
