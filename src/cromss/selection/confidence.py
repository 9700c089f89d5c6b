"""How sure a branch is of its prediction and of the given label (CromSS, section III-C).

Confidences judge pixels and do not teach: no gradient flows through them.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

from cromss.types import Prediction, as_prediction, check_choice, labelled


def _entropy_confidence(prediction: Prediction) -> Tensor:
    log_probs = prediction.log_probs.detach()
    return 1 + (prediction.probs.detach() * log_probs).sum(1) / math.log(log_probs.shape[1])


def _gini_confidence(prediction: Prediction) -> Tensor:
    return prediction.probs.detach().square().sum(1)


CONFIDENCES: dict[str, Callable[[Prediction], Tensor]] = {"entropy": _entropy_confidence, "gini": _gini_confidence}
"""Name -> prediction confidence ``(B, H, W)``, before NaN and rounding are dealt with."""


def prediction_confidence(logits: Tensor | Prediction, kind: str = "entropy") -> Tensor:
    """How far a prediction is from a guess.

    Args:
        logits: ``(B, C, H, W)``, C >= 2.
        kind: ``"entropy"``: ``1 - H(p) / ln C``; ``"gini"``: ``sum p^2``.

    Returns:
        ``(B, H, W)`` float32 in [0, 1], without gradient; NaN counts as 0.

    Raises:
        ValueError: Unknown kind.
    """
    check_choice("confidence", kind, CONFIDENCES)
    return CONFIDENCES[kind](as_prediction(logits)).nan_to_num_(0.0).clamp_(0, 1)


def label_confidence(logits: Tensor | Prediction, labels: Tensor) -> Tensor:
    """The probability that a branch gives to the noisy label, ``p[y]``.

    Args:
        logits: ``(B, C, H, W)``.
        labels: ``(B, H, W)`` integers, classes from 0, 255 where there is no label.

    Returns:
        ``(B, H, W)`` float32 in [0, 1], without gradient; NaN counts as 0, and so do unlabelled pixels.
    """
    mask = labelled(labels)
    index = labels.long() * mask
    confidence = as_prediction(logits).probs.detach().gather(1, index[:, None])[:, 0]
    return confidence.masked_fill_(~mask, 0).nan_to_num_(0.0).clamp_(0, 1)


def entangle(conf_a: Tensor, conf_b: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-modal entangling: a pixel that both modalities are sure of counts more than one that only one is sure of.

    Args:
        conf_a: Confidence of one modality, ``(B, H, W)`` in [0, 1].
        conf_b: Confidence of the other, likewise.

    Returns:
        ``(a + a b) / 2`` and ``(b + a b) / 2``, each ``(B, H, W)`` in [0, 1].
    """
    both = conf_a * conf_b
    return (conf_a + both) / 2, (conf_b + both) / 2
