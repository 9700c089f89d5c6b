"""The shapes and the few types that every room shares.

Letters used in docstrings: ``B`` batch, ``T`` seasons, ``C`` classes, ``K`` bands, ``H W`` height and width in pixels
of 10 m. Modality names are ``"s1"`` (radar) and ``"s2"`` (optical); ``"common"`` is the branch that sees both stacked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

IGNORE_INDEX = 255
"""The label of a pixel that nobody labelled: it has no influence on any loss, threshold or metric."""

RANDOM_SEASON = "random"
"""Setting of a season that is drawn anew for every sample."""

MODALITIES = ("s1", "s2")
"""The two modalities that judge each other, in the order in which their bands are stacked."""

BRANCHES = (*MODALITIES, "common")
"""What a branch of a network may see: one modality, or both stacked."""


def seen_by(branch: str) -> tuple[str, ...]:
    """The modalities that a branch sees."""
    return MODALITIES if branch == "common" else (branch,)


class Prediction:
    """Logits of one branch with the softmax computed once, in float32, for whoever needs it.

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


@dataclass
class RawBatch:
    """A batch as the loader hands it over: what lies on disk, nothing computed yet.

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
        """The same batch in page-locked memory, from where a copy to a GPU does not hold up the host."""
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
        prior: Class distribution a pixel, float32 ``(B, C, H, W)``, or None where the smoothing needs none.
        truth: Exact labels, int64 ``(B, H, W)``, where the dataset has them.
        locations: See `RawBatch`.
    """

    images: dict[str, Tensor]
    labels: Tensor
    prior: Tensor | None
    truth: Tensor | None
    locations: list[int]
