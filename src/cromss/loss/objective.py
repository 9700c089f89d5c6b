"""The objective of a training step: segmentation of every branch plus consistency, as one sum with named terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cromss.loss.functional import (
    CONSISTENCIES,
    SegmentationLoss,
    cross_entropy,
    dice,
    focal,
    mean_of_sums,
    one_hot,
    weighted_sums,
)
from cromss.loss.scope import SCOPES, Sums
from cromss.types import MODALITIES, Logits, PixelWeights, as_prediction, check_choice, labelled

SEGMENTATION: dict[str, SegmentationLoss] = {"ce": cross_entropy, "dice": dice, "focal": focal}
"""Name -> segmentation loss of a prediction against a target distribution with pixel weights."""


@dataclass(frozen=True)
class Loss:
    """A loss and its parts.

    Attributes:
        total: Scalar with gradient.
        terms: Name -> detached scalar: ``<branch>/loss_<ce|dice|focal>``, their sum ``<branch>/loss_seg``,
            ``<branch>/loss_consistency`` of the branch that is taught, and the sum of these, ``loss_consistency``.
    """

    total: Tensor
    terms: Mapping[str, Tensor]


class Objective:
    """Segmentation loss of every branch plus weighted consistency between ``"s1"`` and ``"s2"``.

    Pixels without a label have no influence, neither on segmentation nor on consistency; with nothing labelled the
    total is 0 and so are its gradients.

    Args:
        segmentation: ``"ce"``, ``"dice"``, ``"focal"`` or several joined by ``_``, which are added up.
        consistency: ``"ce"`` soft cross-entropy, ``"kl"`` Kullback-Leibler divergence, ``"mse"`` squared error of the
            probabilities, or ``"none"``. Each modality learns what the other predicts, weighted by how far the other
            is to be trusted; the target gets no gradient.
        consistency_weight: Factor of the consistency loss, >= 0.
        num_classes: C.
        scope: ``"batch"``: the loss of the pixels at hand. ``"global"``: where several processes train together, that
            of the pixels of all, on every one of them: its gradient is right once the processes have averaged theirs,
            as `DistributedDataParallel` does. All must then call the objective, and equally often; the sums of all
            terms are exchanged at once.

    Raises:
        ValueError: A value that is not allowed.
    """

    def __init__(
        self,
        segmentation: str = "ce_dice",
        consistency: str = "ce",
        consistency_weight: float = 1.0,
        num_classes: int = 9,
        scope: str = "batch",
    ) -> None:
        parts = segmentation.split("_")
        if not set(parts) <= set(SEGMENTATION) or len(set(parts)) < len(parts):
            raise ValueError(
                f"segmentation loss {segmentation!r} is unknown: join any of {', '.join(SEGMENTATION)} by '_', "
                "each at most once, e.g. loss=ce_dice"
            )
        check_choice("loss.consistency", consistency, (*CONSISTENCIES, "none"))
        if not consistency_weight >= 0:
            raise ValueError(f"loss.consistency_weight={consistency_weight} is not allowed: a number >= 0")
        check_choice("loss.scope", scope, SCOPES)
        self.segmentation, self.consistency = segmentation, consistency
        self.consistency_weight, self.num_classes, self.scope = consistency_weight, num_classes, scope
        self._parts = {f"loss_{part}": SEGMENTATION[part] for part in parts}
        self._over = SCOPES[scope]
        self._taught = () if consistency == "none" else (MODALITIES, MODALITIES[::-1])

    def __call__(self, logits: Logits, target: Tensor, weights: PixelWeights | None = None) -> Loss:
        """Compares the branches with the target and with each other.

        Args:
            logits: Branch -> ``(B, C, H, W)``. The softmax of a `Prediction` that was used before is used again.
            target: Hard labels ``(B, H, W)`` integers with 255 where there is none, or distributions
                ``(B, C, H, W)`` that are zero in all classes where there is none.
            weights: From selection; None counts every labelled pixel alike.

        Raises:
            ValueError: Shapes that do not fit, or consistency without both modalities.
        """
        branches = {name: as_prediction(branch) for name, branch in logits.items()}
        mask = labelled(target).float()
        target = target.float() if target.ndim == 4 else one_hot(target, self.num_classes)
        for name, branch in branches.items():
            if branch.logits.shape != target.shape or target.shape[1] != self.num_classes:
                raise ValueError(
                    f"{name} logits {tuple(branch.logits.shape)}, target {tuple(target.shape)} and "
                    f"num_classes={self.num_classes} do not fit: all need the same (B, C, H, W)"
                )
        if self._taught and not set(MODALITIES) <= set(branches):
            raise ValueError(
                f"loss.consistency={self.consistency} compares s1 with s2, but the network predicts only "
                f"{', '.join(branches)}: choose loss.consistency=none, or fusion=mid or late"
            )
        weights = PixelWeights() if weights is None else weights
        sums: Sums = {}
        for name, branch in branches.items():
            weight = weights.label.get(name, mask) * mask
            sums |= {f"{name}/{part}": loss.sums(branch, target, weight) for part, loss in self._parts.items()}
        for student, teacher in self._taught:
            pixels = CONSISTENCIES[self.consistency](branches[student], branches[teacher])
            trust = weights.prediction.get(teacher, mask) * mask
            sums[f"{student}/loss_consistency"] = weighted_sums(pixels, trust)
        sums = self._over(sums)

        terms: dict[str, Tensor] = {}
        segmentation, consistency = mask.new_zeros(()), mask.new_zeros(())
        for name in branches:
            parts = {f"{name}/{part}": loss.value(sums[f"{name}/{part}"]) for part, loss in self._parts.items()}
            terms |= parts | {f"{name}/loss_seg": torch.stack(list(parts.values())).sum()}
            segmentation = segmentation + terms[f"{name}/loss_seg"]
        for student, _ in self._taught:
            term = f"{student}/loss_consistency"
            terms[term] = mean_of_sums(sums[term])
            consistency = consistency + terms[term]
        terms["loss_consistency"] = consistency
        total = segmentation + self.consistency_weight * consistency
        return Loss(total, {name: term.detach() for name, term in terms.items()})
