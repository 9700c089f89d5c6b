"""Consistency: each modality learns what the other predicts (CromSS, section III-D)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from cromss.loss.functional import mean_of_sums, weighted_sums
from cromss.types import MODALITIES, Prediction


def _cross_entropy(student: Prediction, teacher: Prediction) -> Tensor:
    return -(teacher.probs.detach() * student.log_probs).sum(1)


def _kl(student: Prediction, teacher: Prediction) -> Tensor:
    return (teacher.probs.detach() * (teacher.log_probs.detach() - student.log_probs)).sum(1)


def _mse(student: Prediction, teacher: Prediction) -> Tensor:
    return (student.probs - teacher.probs.detach()).square().sum(1)


CONSISTENCIES: dict[str, Callable[[Prediction, Prediction], Tensor]] = {
    "ce": _cross_entropy,
    "kl": _kl,
    "mse": _mse,
}
"""Name -> loss of a student against a teacher, ``(B, H, W)``, summed over classes; the teacher gets no gradient."""


def cross_modal_consistency(
    branches: Mapping[str, Prediction], trust: Mapping[str, Tensor], kind: str
) -> dict[str, Tensor]:
    """Loss of each modality against the other, weighted by how far the other is to be trusted.

    Args:
        branches: At least ``"s1"`` and ``"s2"`` -> their predictions.
        trust: Modality -> weights of pixels where it teaches, ``(B, H, W)``, >= 0.
        kind: ``"ce"`` soft cross-entropy, ``"kl"`` Kullback-Leibler divergence, ``"mse"`` squared error of
            probabilities; all summed over classes.

    Returns:
        The modality that is taught -> a scalar, the weighted mean over pixels.
    """
    return {student: mean_of_sums(sums) for student, sums in cross_modal_sums(branches, trust, kind).items()}


def cross_modal_sums(branches: Mapping[str, Prediction], trust: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """What `cross_modal_consistency` takes the means of: the modality that is taught -> `weighted_sums`."""
    loss = CONSISTENCIES[kind]
    pairs = (MODALITIES, MODALITIES[::-1])
    return {
        student: weighted_sums(loss(branches[student], branches[teacher]), trust[teacher]) for student, teacher in pairs
    }
