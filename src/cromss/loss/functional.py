"""Segmentation and consistency losses with a weight for every pixel (CromSS, section III-D).

A pixel of weight 0 has no influence on any of them; where all weights are 0, values and gradients are 0. Each is a
function of sums over pixels, which are computed separately: sums can be added up over processes, losses cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from cromss.types import Prediction, labelled


def one_hot(labels: Tensor, num_classes: int) -> Tensor:
    """Hard labels as distributions.

    Args:
        labels: ``(B, H, W)`` integers, classes from 0, 255 where there is no label.
        num_classes: C.

    Returns:
        ``(B, C, H, W)`` float32; zero in all classes where there is no label.
    """
    mask = labelled(labels)
    zeros = torch.zeros(labels.shape[0], num_classes, *labels.shape[1:], device=labels.device)
    return zeros.scatter_(1, (labels.long() * mask)[:, None], mask.float()[:, None])


@dataclass(frozen=True)
class SegmentationLoss:
    """A loss as a function of sums over pixels; called, the loss of the pixels at hand.

    Attributes:
        sums: Prediction of ``(B, C, H, W)`` logits, target distributions ``(B, C, H, W)`` and weights ``(B, H, W)``,
            >= 0 -> sums over pixels, of any shape.
        value: Such sums -> a scalar.
    """

    sums: Callable[[Prediction, Tensor, Tensor], Tensor]
    value: Callable[[Tensor], Tensor]

    def __call__(self, prediction: Prediction, target: Tensor, weight: Tensor) -> Tensor:
        """The loss of these pixels, a scalar; arguments as of `sums`."""
        return self.value(self.sums(prediction, target, weight))


def weighted_sums(loss: Tensor, weight: Tensor) -> Tensor:
    """``sum(w loss)`` and ``sum(w)`` of a loss and weights ``(B, H, W)``, as ``(2,)``: what `mean_of_sums` takes."""
    return torch.stack([(loss * weight).sum(), weight.sum()])


def mean_of_sums(sums: Tensor) -> Tensor:
    """``sum(w loss) / sum(w)`` of the `weighted_sums`, a scalar; 0 where all weights are 0."""
    weighted, weight = sums.unbind()
    return weighted / weight.clamp(min=torch.finfo(weight.dtype).tiny)


def _cross_entropy_sums(prediction: Prediction, target: Tensor, weight: Tensor) -> Tensor:
    return weighted_sums((target * prediction.log_probs).sum(1).neg_(), weight)


cross_entropy = SegmentationLoss(_cross_entropy_sums, mean_of_sums)
"""Cross-entropy ``-sum_c y log p``, the weighted mean over pixels in nats, >= 0."""


def _dice_sums(prediction: Prediction, target: Tensor, weight: Tensor) -> Tensor:
    return torch.stack(_ClassSums.apply(prediction.probs, target, weight))


def _dice_of_sums(sums: Tensor) -> Tensor:
    overlap, predicted, present = sums.unbind()
    score = 2 * overlap / (predicted + present).clamp(min=torch.finfo(sums.dtype).tiny)
    return ((1 - score) * (present > 0)).mean()


dice = SegmentationLoss(_dice_sums, _dice_of_sums)
"""Soft Dice loss: ``1 - 2 sum(w p y) / sum(w p + w y)`` per class over batch and pixels, then the classes' mean.

In [0, 1]. A class without a single target pixel of weight > 0 contributes 0 (Milletari et al. 2016, as in
segmentation_models_pytorch).
"""


class _ClassSums(torch.autograd.Function):
    """Sums of ``w p y``, ``w p`` and ``w y`` over batch and pixels, each ``(C,)``, with gradient to p only.

    By hand, since allocating memory is most of the cost: one map forward and one backward instead of autograd's six.
    """

    @staticmethod
    def forward(ctx: Any, probs: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        weight = weight[:, None]
        ctx.save_for_backward(target, weight)
        pixels = (0, 2, 3)
        weighted = target * weight
        present = weighted.sum(pixels)
        overlap = weighted.mul_(probs).sum(pixels)
        predicted = torch.mul(probs, weight, out=weighted).sum(pixels)
        ctx.mark_non_differentiable(present)
        return overlap, predicted, present

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, overlap: Tensor, predicted: Tensor, present: Tensor) -> tuple[Tensor, None, None]:
        target, weight = ctx.saved_tensors
        per_class = (-1, 1, 1)
        grad = torch.addcmul(predicted.view(per_class), overlap.view(per_class), target).mul_(weight)
        return grad, None, None


def _focal_sums(prediction: Prediction, target: Tensor, weight: Tensor) -> Tensor:
    with torch.autocast(target.device.type, enabled=False):
        surprise = F.binary_cross_entropy_with_logits(prediction.logits.float(), target, reduction="none")
    return weighted_sums((torch.expm1(-surprise).square() * surprise).sum(1), weight)


focal = SegmentationLoss(_focal_sums, mean_of_sums)
"""Focal loss, every class against the rest by its sigmoid: ``(1 - q)^2 (-log q)`` summed over classes.

The weighted mean over pixels, >= 0. ``-log q`` is the binary cross-entropy of a class, gamma is 2 and there is no alpha
(Lin et al. 2017, as in segmentation_models_pytorch). It is published for hard labels only; since it grows with the
binary cross-entropy, it has the same minimum, sigmoid = target, for soft ones, and so it goes with every kind of
smoothing.
"""


def _consistency_ce(student: Prediction, teacher: Prediction) -> Tensor:
    return -(teacher.probs.detach() * student.log_probs).sum(1)


def _consistency_kl(student: Prediction, teacher: Prediction) -> Tensor:
    return (teacher.probs.detach() * (teacher.log_probs.detach() - student.log_probs)).sum(1)


def _consistency_mse(student: Prediction, teacher: Prediction) -> Tensor:
    return (student.probs - teacher.probs.detach()).square().sum(1)


CONSISTENCIES: dict[str, Callable[[Prediction, Prediction], Tensor]] = {
    "ce": _consistency_ce,
    "kl": _consistency_kl,
    "mse": _consistency_mse,
}
"""Name -> loss of a student against a teacher, ``(B, H, W)``, summed over classes; the teacher gets no gradient.

Soft cross-entropy, Kullback-Leibler divergence, squared error of probabilities.
"""
