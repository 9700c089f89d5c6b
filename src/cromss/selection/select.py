"""The options of the selection group: logits and labels in, weights of pixels out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from cromss.selection.confidence import CONFIDENCES, entangle, label_confidence, prediction_confidence
from cromss.selection.weights import SCOPES, label_weights, prediction_weights
from cromss.types import MODALITIES, Logits, PixelWeights, as_prediction, check_choice, labelled

RAMPS: dict[str, Callable[[float], float]] = {
    "exp": lambda share: math.exp(-5 * (1 - share) ** 2),
    "linear": lambda share: share,
    "none": lambda share: 1.0,
}
"""Name -> progress of selection at a share in [0, 1) of the ramp."""


def ramp(kind: str, epoch: float, epochs: float) -> float:
    """Progress of selection, 0 (hardly any) to 1 (full): ``r(e)`` in CromSS, section III-C.

    Args:
        kind: ``"exp"``: ``exp(-5 (1 - epoch / epochs)^2)``; ``"linear"``: ``epoch / epochs``; ``"none"``: 1 at once.
        epoch: Current epoch, from 0.
        epochs: Length of the ramp; from ``epoch >= epochs`` on the progress is 1.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: Unknown kind.
    """
    check_choice("ramp", kind, RAMPS)
    return 1.0 if epoch >= epochs else RAMPS[kind](epoch / epochs)


class NoSelection:
    """Every labelled pixel counts alike."""

    def __call__(self, logits: Logits, labels: Tensor, epoch: float) -> PixelWeights:
        """Weight 1 for every labelled pixel of the modalities in `logits`; see `CrossModalSelection`."""
        mask = labelled(labels).float()
        alike = {name: mask for name in MODALITIES if name in logits}
        return PixelWeights(label=alike, prediction=alike)


@dataclass(frozen=True)
class CrossModalSelection:
    """Both modalities judge labels and predictions; what they trust counts, more sharply from epoch to epoch.

    The share of labels that count fully falls from about 1 to `prop` along the ramp; see `label_weights` and
    `prediction_weights`. A third branch (``"common"``) neither judges nor is judged.

    Args:
        prop: Final share of labels that count fully, in [0, 1].
        ramp: ``"exp"``, ``"linear"`` or ``"none"``, see `cromss.selection.ramp`.
        ramp_epochs: Length of the ramp in epochs, >= 1.
        confidence: ``"entropy"`` or ``"gini"``, see `prediction_confidence`.
        entangle: Whether the confidence of one modality raises that of the other, see `cromss.selection.entangle`.
        class_balanced: Whether every class has its own threshold, or one threshold serves all.
        scope: Whose pixels decide on a threshold where several processes train together: ``"global"``, those of all;
            ``"batch"``, those of each process its own, and nothing is exchanged.

    Raises:
        ValueError: A value that is not allowed.
    """

    prop: float
    ramp: str
    ramp_epochs: float
    confidence: str
    entangle: bool
    class_balanced: bool
    scope: str = "global"

    def __post_init__(self) -> None:
        if not 0 <= self.prop <= 1:
            raise ValueError(f"selection.prop={self.prop} is not allowed: set a share in [0, 1], e.g. 0.5")
        if self.ramp_epochs < 1:
            raise ValueError(
                f"selection.ramp_epochs={self.ramp_epochs} is not allowed: at least 1; for none, ramp=none"
            )
        check_choice("selection.ramp", self.ramp, RAMPS)
        check_choice("selection.confidence", self.confidence, CONFIDENCES)
        check_choice("selection.scope", self.scope, SCOPES)

    def __call__(self, logits: Logits, labels: Tensor, epoch: float) -> PixelWeights:
        """Weighs pixels.

        Args:
            logits: ``"s1"`` and ``"s2"`` -> ``(B, C, H, W)``; further branches are left alone.
            labels: Noisy hard labels ``(B, H, W)``, 255 where there is none.
            epoch: Current epoch, from 0.

        Raises:
            ValueError: One of the two modalities is missing.
        """
        if missing := [name for name in MODALITIES if name not in logits]:
            raise ValueError(
                f"cross-modal selection needs s1 and s2, but {', '.join(missing)} is missing: "
                "choose fusion=mid or fusion=late, or turn it off by selection=none"
            )
        progress = ramp(self.ramp, epoch, self.ramp_epochs)
        keep = 1 - progress * (1 - self.prop)
        branches = [as_prediction(logits[name]) for name in MODALITIES]
        num_classes = branches[0].logits.shape[1]
        join = entangle if self.entangle else _each_alone
        label = join(*(label_confidence(branch, labels) for branch in branches))
        prediction = join(*(prediction_confidence(branch, self.confidence) for branch in branches))
        weights = [label_weights(c, labels, keep, num_classes, self.class_balanced, self.scope) for c in label]
        mask = labelled(labels)
        trust = [prediction_weights(c, progress) * mask for c in prediction]
        return PixelWeights(dict(zip(MODALITIES, weights, strict=True)), dict(zip(MODALITIES, trust, strict=True)))


def _each_alone(conf_a: Tensor, conf_b: Tensor) -> tuple[Tensor, Tensor]:
    return conf_a, conf_b
