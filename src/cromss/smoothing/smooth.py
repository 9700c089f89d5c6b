"""The options of the smoothing group: from noisy labels to the target that a loss compares with (CromSS, III-B)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cromss.smoothing.prior import KINDS, label_prior
from cromss.types import check_choice, labelled

Move = Callable[[Tensor], Tensor]
"""Maps of whole patches ``(B, C, H, W)`` -> the same as the network sees them: cropped, flipped, rotated."""


def smooth_labels(
    labels: Tensor, prior: Tensor | None, factors: Sequence[float], num_classes: int, *, out: Tensor | None = None
) -> Tensor:
    """Mixes one-hot labels with a prior and the uniform distribution.

    With factors ``(a1, a2)``: ``(1 - a1 - a2) onehot + a1 prior + a2 / C``; with one: ``(1 - a1) onehot + a1 prior``.
    Without a prior the uniform distribution is used instead, ``(1 - a1) onehot + a1 / C``, and ``a2`` has no meaning.

    Args:
        labels: ``(B, H, W)`` integers, classes from 0, 255 where there is no label.
        prior: ``(B, C, H, W)``, sums to 1 over classes, from `label_prior`; or None.
        factors: None to two numbers ``>= 0`` with a sum ``<= 1``; empty gives one-hot labels.
        num_classes: C.
        out: Where to write the result: a float32 prior that is not needed any more, to save memory.

    Returns:
        ``(B, C, H, W)`` float32. A labelled pixel sums to 1 over classes; an unlabelled one is zero in all classes.

    Raises:
        ValueError: Factors out of range, or a prior of another shape.
    """
    _check_factors(factors)
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    if prior is not None and prior.shape != shape:
        raise ValueError(f"the prior has the shape {tuple(prior.shape)}, but these labels need {shape}")
    towards_prior, towards_uniform = (*factors, 0.0, 0.0)[:2]
    if prior is None:
        towards_prior, towards_uniform = 0.0, towards_prior

    mask = labelled(labels)[:, None]
    weight = mask.float()
    uniform = weight * (towards_uniform / num_classes)
    if prior is None:
        soft = uniform.repeat(1, num_classes, 1, 1)
    else:
        soft = torch.addcmul(uniform, prior.float(), weight * towards_prior, out=out)
    return soft.scatter_add_(1, labels[:, None].long() * mask, weight * (1 - towards_prior - towards_uniform))


class Smoothing(Protocol):
    """Makes the target of a training batch.

    In one call, as the prior needs whole patches, and the target is mixed where the network looks.
    """

    def __call__(self, patches: Tensor, season: Tensor, labels: Tensor, move: Move) -> Tensor:
        """What the loss compares with.

        Args:
            patches: Labels of all seasons of whole patches, ``(B, T, H, W)``.
            season: The drawn season of each sample, ``(B,)``.
            labels: Labels of that season as the network sees them, cropped, flipped and rotated, ``(B, h, w)``.
            move: Moves maps of whole patches into the same view.

        Returns:
            The labels, or soft labels ``(B, C, h, w)``, see `smooth_labels`.
        """
        ...


class LabelSmoothing:
    """Smoothing towards the labels around a pixel and in its other seasons.

    Args:
        kind: ``"spatiotemporal"``, ``"spatial"`` or ``"temporal"``, see `label_prior`.
        factors: Share of the prior and, where there is a second number, of the uniform distribution.
        num_classes: C.

    Raises:
        ValueError: Unknown kind or factors out of range.
    """

    def __init__(self, kind: str, factors: Sequence[float], num_classes: int) -> None:
        check_choice("smoothing.kind", kind, KINDS)
        _check_factors(factors)
        self.kind, self.factors, self.num_classes = kind, tuple(factors), num_classes

    def __call__(self, patches: Tensor, season: Tensor, labels: Tensor, move: Move) -> Tensor:
        """Mixes the labels with the prior of the whole patches; see `Smoothing`."""
        prior = move(label_prior(patches, season, self.kind, self.num_classes))
        return smooth_labels(labels, prior, self.factors, self.num_classes, out=prior)


class UniformSmoothing:
    """Classic label smoothing: every class gets the same share of a pixel.

    Args:
        factors: One number, the share of the uniform distribution.
        num_classes: C.

    Raises:
        ValueError: More than one factor, or one out of range.
    """

    def __init__(self, factors: Sequence[float], num_classes: int) -> None:
        _check_factors(factors)
        if len(factors) != 1:
            raise ValueError(f"uniform smoothing takes one factor, got {list(factors)}: e.g. smoothing.factors=[0.1]")
        self.factors, self.num_classes = tuple(factors), num_classes

    def __call__(self, patches: Tensor, season: Tensor, labels: Tensor, move: Move) -> Tensor:
        """Mixes the labels with the uniform distribution; see `Smoothing`."""
        return smooth_labels(labels, None, self.factors, self.num_classes)


class NoSmoothing:
    """Hard labels as they are."""

    def __call__(self, patches: Tensor, season: Tensor, labels: Tensor, move: Move) -> Tensor:
        """The labels themselves; see `Smoothing`."""
        return labels


def _check_factors(factors: Sequence[float]) -> None:
    if len(factors) > 2 or any(f < 0 for f in factors) or sum(factors) > 1:
        raise ValueError(
            f"smoothing.factors={list(factors)} is not allowed: at most two numbers >= 0 with a sum <= 1, "
            "e.g. [0.15,0.05] (share of the prior, share of the uniform distribution)"
        )
