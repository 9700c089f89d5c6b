"""The options of the selection group: logits and labels in, weights of pixels out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cromss.selection.confidence import CONFIDENCES, entangle, label_confidence, prediction_confidence
from cromss.selection.schedule import RAMPS, ramp
from cromss.selection.weights import SCOPES, label_weights, prediction_weights
from cromss.types import IGNORE_INDEX, MODALITIES, Logits, as_prediction


@dataclass(frozen=True)
class Selection:
    """How much each pixel counts, per modality; float32 ``(B, H, W)`` in [0, 1], no gradient, 0 where unlabelled.

    Attributes:
        label: Modality -> weights of its segmentation loss.
        prediction: Modality -> weights of the consistency loss *towards* this modality.
    """

    label: Mapping[str, Tensor]
    prediction: Mapping[str, Tensor]


class NoSelection:
    """Every labelled pixel counts alike."""

    def __call__(self, logits: Logits, labels: Tensor, epoch: float) -> Selection:
        """Weight 1 for every labelled pixel of the modalities in `logits`; see `CrossModalSelection`."""
        labelled = (labels != IGNORE_INDEX).float()
        alike = {name: labelled for name in MODALITIES if name in logits}
        return Selection(label=alike, prediction=alike)


class CrossModalSelection:
    """Both modalities judge labels and predictions; what they trust counts, more sharply epoch by epoch.

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

    def __init__(
        self,
        prop: float,
        ramp: str,
        ramp_epochs: float,
        confidence: str,
        entangle: bool,
        class_balanced: bool,
        scope: str = "global",
    ) -> None:
        if not 0 <= prop <= 1:
            raise ValueError(f"selection.prop={prop} is not allowed: a share in [0, 1], e.g. 0.5 to keep half fully")
        if ramp not in RAMPS:
            raise ValueError(f"selection.ramp={ramp} is not allowed: choose one of {', '.join(RAMPS)}")
        if ramp_epochs < 1:
            raise ValueError(f"selection.ramp_epochs={ramp_epochs} is not allowed: at least 1; for none, ramp=none")
        if confidence not in CONFIDENCES:
            raise ValueError(
                f"selection.confidence={confidence} is not allowed: choose one of {', '.join(CONFIDENCES)}"
            )
        if scope not in SCOPES:
            raise ValueError(f"selection.scope={scope} is not allowed: choose one of {', '.join(SCOPES)}")
        self.prop, self.ramp, self.ramp_epochs = prop, ramp, ramp_epochs
        self.confidence, self.class_balanced, self.scope = confidence, class_balanced, scope
        self._join = _entangled if entangle else _alone

    def __call__(self, logits: Logits, labels: Tensor, epoch: float) -> Selection:
        """Weighs pixels.

        Args:
            logits: ``"s1"`` and ``"s2"`` -> ``(B, C, H, W)``; further branches are left alone.
            labels: Noisy hard labels ``(B, H, W)``, 255 where there is none.
            epoch: Current epoch, from 0.

        Raises:
            ValueError: One of the two modalities is missing.
        """
        missing = [name for name in MODALITIES if name not in logits]
        if missing:
            raise ValueError(
                f"cross-modal selection needs s1 and s2, but {', '.join(missing)} is missing: "
                "choose fusion=mid or fusion=late, or turn it off by selection=none"
            )
        progress = ramp(self.ramp, epoch, self.ramp_epochs)
        keep = 1 - progress * (1 - self.prop)
        branches = {name: as_prediction(logits[name]) for name in MODALITIES}
        num_classes = branches["s1"].logits.shape[1]
        labelled = labels != IGNORE_INDEX
        label = self._join({name: label_confidence(branch, labels) for name, branch in branches.items()})
        prediction = self._join({n: prediction_confidence(branch, self.confidence) for n, branch in branches.items()})
        return Selection(
            label={
                n: label_weights(c, labels, keep, num_classes, self.class_balanced, self.scope)
                for n, c in label.items()
            },
            prediction={n: prediction_weights(c, progress) * labelled for n, c in prediction.items()},
        )


def _entangled(confidences: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return dict(zip(confidences, entangle(*confidences.values()), strict=True))


def _alone(confidences: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return confidences
