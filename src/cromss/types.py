"""The shapes and the few types that every room shares.

Letters used in docstrings: ``B`` batch, ``T`` seasons, ``C`` classes, ``K`` bands, ``H W`` height and width in pixels
of 10 m. Modality names are ``"s1"`` (radar) and ``"s2"`` (optical); ``"common"`` is the branch that sees both stacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

IGNORE_INDEX = 255
"""The label of a pixel without a label: it has no influence on any loss, threshold or metric."""

RANDOM_SEASON = "random"
"""Value of the setting `season` that draws a season anew for every sample."""

MODALITIES = ("s1", "s2")
"""The two modalities that judge each other, in the order in which their bands are stacked."""

BRANCHES = (*MODALITIES, "common")
"""What a branch of a network may see: one modality, or both stacked."""


def check_choice(key: str, value: object, choices: Iterable[str]) -> None:
    """Raises ValueError, with the key and all choices, unless `value` is one of them."""
    if value not in (known := list(choices)):
        raise ValueError(f"{key}={value} is unknown: choose one of {', '.join(known)}")


def labelled(target: Tensor) -> Tensor:
    """Which pixels have a label.

    Args:
        target: Labels ``(B, H, W)``, `IGNORE_INDEX` where there is none, or distributions over classes
            ``(B, C, H, W)``, zero in all classes where there is none.

    Returns:
        bool ``(B, H, W)``.
    """
    return target.sum(1) > 0 if target.ndim == 4 else target != IGNORE_INDEX


def seen_by(branch: str) -> tuple[str, ...]:
    """The modalities that a branch sees."""
    return MODALITIES if branch == "common" else (branch,)


class Prediction:
    """Logits of one branch whose softmax is computed once, in float32.

    Confidence, segmentation loss and consistency all need the (log-)softmax of the same logits. They receive this
    object and so share one computation without knowing of each other.

    Args:
        logits: ``(B, C, H, W)``, any floating type. Under autocast they may be half precision: everything derived
            here is float32, since entropies and log-probabilities lose their small differences in 16 bits.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @cached_property
    def log_probs(self) -> Tensor:
        """Log-softmax over classes, float32 ``(B, C, H, W)``, with gradient."""
        with torch.autocast(self.logits.device.type, enabled=False):
            return torch.log_softmax(self.logits.float(), dim=1)

    @cached_property
    def probs(self) -> Tensor:
        """Softmax over classes, float32 ``(B, C, H, W)`` in [0, 1], with gradient."""
        return self.log_probs.exp()


def as_prediction(logits: Tensor | Prediction) -> Prediction:
    """Wraps plain logits; a `Prediction` passes through, so its softmax stays shared."""
    return logits if isinstance(logits, Prediction) else Prediction(logits)


Logits = Mapping[str, Tensor | Prediction]
"""Branch name -> logits ``(B, C, H, W)``."""


@dataclass(frozen=True)
class PixelWeights:
    """How much each pixel counts: what selection returns and the losses take; without gradient.

    Attributes:
        label: Branch -> weights of its segmentation loss, float32 ``(B, H, W)`` in [0, 1], 0 where there is no label.
            A branch that is missing counts every labelled pixel alike.
        prediction: Modality -> weights of the consistency loss *towards* this modality, likewise.
    """

    label: Mapping[str, Tensor] = field(default_factory=dict)
    prediction: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass
class RawBatch:
    """A batch as a loader returns it: what lies on disk, nothing computed yet.

    Attributes:
        images: Modality -> ``(B, K, H, W)`` in the stored dtype.
        labels: Noisy labels of all seasons, uint8 ``(B, T, H, W)``.
        season: The drawn season, int64 ``(B,)``.
        truth: Exact labels of the drawn season, uint8 ``(B, H, W)``, where the dataset has them.
        seeds: Of the random geometry of each sample; plain ints, so that they never leave the host.
        locations: Index of each sample's location, or -1 for a sample that only fills up the batch; plain ints, too.
    """

    images: dict[str, Tensor]
    labels: Tensor
    season: Tensor
    truth: Tensor | None
    seeds: list[int]
    locations: list[int]

    def pin_memory(self) -> RawBatch:
        """The same batch in page-locked memory, from which a GPU copies while the host continues."""
        return RawBatch(
            {name: image.pin_memory() for name, image in self.images.items()},
            self.labels.pin_memory(),
            self.season.pin_memory(),
            None if self.truth is None else self.truth.pin_memory(),
            self.seeds,
            self.locations,
        )


@dataclass
class Batch:
    """A batch as the network sees it.

    Attributes:
        images: Modality -> float32 ``(B, K, H, W)``, scaled.
        labels: Noisy labels of the drawn season, int64 ``(B, H, W)``; `IGNORE_INDEX` where there is none.
        target: What the loss compares with: the labels, or soft labels, float32 ``(B, C, H, W)``, which are zero in all
            classes where there is no label.
        truth: Exact labels, int64 ``(B, H, W)``, where the dataset has them.
        locations: See `RawBatch`.
    """

    images: dict[str, Tensor]
    labels: Tensor
    target: Tensor
    truth: Tensor | None
    locations: list[int]
