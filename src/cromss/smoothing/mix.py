"""Noisy label + prior + uniform distribution -> the soft label that a loss compares with (CromSS, section III-B)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cromss.types import IGNORE_INDEX


def smooth_labels(labels: Tensor, prior: Tensor | None, factors: Sequence[float], num_classes: int) -> Tensor:
    """Mixes one-hot labels with a prior and the uniform distribution.

    With factors ``(a1, a2)``: ``(1 - a1 - a2) onehot + a1 prior + a2 / C``; with one: ``(1 - a1) onehot + a1 prior``.
    Without a prior the uniform distribution takes its place, ``(1 - a1) onehot + a1 / C``, and ``a2`` means nothing.

    Args:
        labels: ``(B, H, W)`` integers, classes from 0, 255 where there is no label.
        prior: ``(B, C, H, W)``, sums to 1 over classes, from `label_prior`; or None.
        factors: None to two numbers ``>= 0`` with a sum ``<= 1``; empty gives one-hot labels.
        num_classes: C.

    Returns:
        ``(B, C, H, W)`` float32. A labelled pixel sums to 1 over classes; an unlabelled one is zero in all classes,
        which is how losses recognise it.

    Raises:
        ValueError: Factors out of range, or a prior of another shape.
    """
    check_factors(factors)
    shape = (labels.shape[0], num_classes, *labels.shape[1:])
    if prior is not None and prior.shape != shape:
        raise ValueError(f"the prior has the shape {tuple(prior.shape)}, but these labels need {shape}")
    towards_prior, towards_uniform = (*factors, 0.0, 0.0)[:2]
    if prior is None:
        towards_prior, towards_uniform = 0.0, towards_prior

    labelled = (labels != IGNORE_INDEX)[:, None].float()
    uniform = labelled * (towards_uniform / num_classes)
    if prior is None:
        soft = uniform.repeat(1, num_classes, 1, 1)
    else:
        soft = torch.addcmul(uniform, prior.float(), labelled * towards_prior)
    index = labels[:, None].long() * labelled.long()
    return soft.scatter_add_(1, index, labelled * (1 - towards_prior - towards_uniform))


def check_factors(factors: Sequence[float]) -> None:
    """Raises ValueError unless there are at most two factors, none negative, with a sum of at most 1."""
    if len(factors) > 2 or any(f < 0 for f in factors) or sum(factors) > 1:
        raise ValueError(
            f"smoothing factors {list(factors)} are not allowed: at most two numbers >= 0 with a sum <= 1, "
            "e.g. smoothing.factors=[0.15,0.05] (share of the prior, share of the uniform distribution)"
        )
