"""From confidences to the weights of pixels in the losses (CromSS, section III-C)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from cromss.types import check_choice, labelled

_BITS = 15
_BINS = 1 << _BITS


def _all_reduce(counts: Tensor) -> Tensor:
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(counts)
    return counts


SCOPES: dict[str, Callable[[Tensor], Tensor]] = {"global": _all_reduce, "batch": lambda counts: counts}
"""Whose pixels are counted -> their counts, of the counts of this process."""


def label_weights(
    conf: Tensor,
    labels: Tensor,
    keep: float,
    num_classes: int,
    class_balanced: bool = True,
    scope: str = "global",
) -> Tensor:
    """Weights of the segmentation loss: the confident share of each class counts fully, the rest in proportion.

    With ``n`` labelled pixels of a class and ``t`` the ``floor(n keep)``-th largest of their confidences the weight is
    ``min(conf / t, 1)``; it is 0 for a class with ``floor(n keep) = 0`` and 1 where ``t = 0``.

    Where several processes train together and the scope is global, ``n`` and ``t`` are those of the whole batch, so
    that weights do not depend on how many GPUs share it. All processes must then call this function equally often.

    Args:
        conf: ``(B, H, W)`` in [0, 1], usually entangled label confidence.
        labels: ``(B, H, W)`` integers, classes from 0, 255 where there is no label.
        keep: Share of labels that count fully, in [0, 1]: 1 gives all ones, 0 the confidence itself.
        num_classes: C.
        class_balanced: False takes one threshold over the pixels of all classes.
        scope: ``"global"``: over the pixels of all processes; ``"batch"``: of this one alone, as the published program.

    Returns:
        ``(B, H, W)`` float32 in [0, 1], without gradient; 0 where there is no label.

    Raises:
        ValueError: keep outside [0, 1], or an unknown scope.
    """
    check_choice("scope", scope, SCOPES)
    if not 0 <= keep <= 1:
        raise ValueError(f"keep is {keep}; the share of labels that count fully must lie in [0, 1]")
    mask = labelled(labels)
    conf = conf.detach().float() * mask
    if keep == 0:
        return conf
    if keep == 1:
        return mask.float()
    group = (labels * mask if class_balanced else torch.zeros_like(labels)).flatten().int()
    num_groups = num_classes if class_balanced else 1
    counted = mask.flatten().int()
    threshold, kept = _thresholds(conf.flatten(), group, counted, keep, num_groups, SCOPES[scope])
    divisor = threshold.masked_fill(kept == 0, torch.inf).index_select(0, group).view_as(conf)
    # t / t is exactly 1; t = 0 makes infinity or, for a confidence of 0, NaN: both stand for weight 1.
    return (conf / divisor).clamp_(max=1).nan_to_num_(1.0).mul_(mask)


def prediction_weights(conf: Tensor, progress: float) -> Tensor:
    """Weights of the consistency loss: from all pixels alike to the confidence of the prediction.

    Args:
        conf: Prediction confidence, ``(B, H, W)`` in [0, 1].
        progress: Value of the `ramp`, in [0, 1].

    Returns:
        ``(1 - progress) + progress * conf``, ``(B, H, W)`` float32 in [0, 1].
    """
    return conf.detach().float() * progress + (1 - progress)


def _thresholds(
    conf: Tensor, group: Tensor, counted: Tensor, keep: float, num_groups: int, scope: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """The ``floor(n keep)``-th largest confidence of each group and that number, both ``(G,)``.

    Exact and without sorting: the bits of non-negative floats are ordered like the floats, so one histogram over the
    upper bits finds the bin that holds the wanted value and a second one over the lower bits finds the value in it.
    """
    bits = conf.view(torch.int32)
    upper, lower = (bits >> _BITS) & (_BINS - 1), bits & (_BINS - 1)

    histogram = scope(_histogram(group, upper, counted, num_groups))
    total = histogram.sum(1)
    kept = (total.double() * keep).floor().long()
    upper_bin, rank = _bin_at(histogram, total - kept)
    in_bin = upper == upper_bin.int().index_select(0, group)
    lower_bin, _ = _bin_at(scope(_histogram(group, lower, counted * in_bin, num_groups)), rank)
    return ((upper_bin << _BITS) | lower_bin).int().view(torch.float32), kept


def _histogram(group: Tensor, value: Tensor, counted: Tensor, num_groups: int) -> Tensor:
    """Counts ``(G, bins)`` over all pixels of this process."""
    counts = torch.zeros(num_groups * _BINS, dtype=torch.int32, device=group.device)
    counts.scatter_add_(0, ((group << _BITS) | value).long(), counted)
    return counts.view(num_groups, _BINS)


def _bin_at(histogram: Tensor, rank: Tensor) -> tuple[Tensor, Tensor]:
    """The bin of the value with this rank, counted upwards from 0, and its rank within the bin; each ``(G,)``."""
    below_or_in = histogram.cumsum(1)
    index = torch.searchsorted(below_or_in, rank[:, None], right=True).clamp_(max=_BINS - 1)
    before = below_or_in.gather(1, index) - histogram.gather(1, index)
    return index[:, 0], rank - before[:, 0]
