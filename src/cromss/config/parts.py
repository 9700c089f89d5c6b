"""The keys of the groups fusion, loss, selection and smoothing."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from cromss.config.choices import BRANCHES, CONFIDENCES, CONSISTENCIES, PRIORS, RAMPS, SCOPES, SEGMENTATION_LOSSES
from cromss.config.dataset import BandCounts
from cromss.config.settings import Count, Means, NumClasses, Part, Settings, Share
from cromss.config.words import OneOf


def _joined(text: str) -> str:
    names = text.split("_")
    if not set(names) <= set(SEGMENTATION_LOSSES) or len(set(names)) < len(names):
        raise ValueError(f"must be any of {', '.join(SEGMENTATION_LOSSES)} joined by _, each at most once")
    return text


def _together(factors: list[float]) -> list[float]:
    if sum(factors) > 1:
        raise ValueError("must have a sum of at most 1")
    return factors


class Nothing(Settings):
    """An option without settings."""


class Fusion(Settings):
    """The keys that all fusions have."""

    backbone: Part
    """Encoder and decoder; that of the backbone group."""

    bands: BandCounts
    """Channels per modality; those of the dataset."""

    classes: NumClasses
    """Number of classes; that of the dataset."""


class Pair(Fusion):
    """Both modalities: arguments of `cromss.fusion.MidFusion` and `cromss.fusion.LateFusion`."""

    common: bool
    """Whether a third branch sees both modalities stacked."""


class Single(Fusion):
    """One branch: arguments of `cromss.fusion.SingleFusion`."""

    modality: Annotated[str, OneOf(BRANCHES)]
    """Input of the branch; ``common`` is both modalities stacked."""


class Loss(Settings):
    """Arguments of `cromss.loss.Objective`."""

    segmentation: Annotated[str, AfterValidator(_joined), Means(f"any of {', '.join(SEGMENTATION_LOSSES)} joined by _")]
    """Losses of a branch against the labels, which are summed."""

    consistency: Annotated[str, OneOf((*CONSISTENCIES, "none"))]
    """Loss of the modalities against each other."""

    consistency_weight: Annotated[float, Field(ge=0, le=1e6)]
    """Factor of the consistency loss."""

    num_classes: NumClasses
    """Number of classes; that of the dataset."""

    scope: Annotated[str, OneOf(SCOPES)]
    """Pixels over which several processes average a loss: those of all processes, or of each process its own."""


class CrossModal(Settings):
    """Arguments of `cromss.selection.CrossModalSelection`."""

    prop: Share
    """Share of the labels of a class that count fully at the end of the ramp."""

    ramp: Annotated[str, OneOf(RAMPS)]
    """How that share falls from 1 to ``prop``."""

    ramp_epochs: Count
    """Epochs of the ramp; ``trainer.ramp_epochs`` unless set here."""

    confidence: Annotated[str, OneOf(CONFIDENCES)]
    """Measure of the confidence of a prediction, by which the consistency loss is weighted."""

    entangle: bool
    """Whether the modalities judge each other."""

    class_balanced: bool
    """Whether each class has a threshold of its own."""

    scope: Annotated[str, OneOf(SCOPES)]
    """Pixels from which several processes compute a threshold: those of all processes, or of each process its own."""


class Smoothing(Settings):
    """Arguments of `cromss.smoothing.LabelSmoothing`."""

    kind: Annotated[str, OneOf(PRIORS)]
    """What the prior of a pixel is made of."""

    factors: Annotated[
        list[Share],
        Field(max_length=2),
        AfterValidator(_together),
        Means("a list of at most two numbers in [0, 1] with a sum of at most 1"),
    ]
    """Share of the prior, and of the uniform distribution."""

    num_classes: NumClasses
    """Number of classes; that of the dataset."""


class Uniform(Settings):
    """Arguments of `cromss.smoothing.UniformSmoothing`."""

    factors: Annotated[list[Share], Field(min_length=1, max_length=1), Means("a list of one number in [0, 1]")]
    """Share of the uniform distribution."""

    num_classes: NumClasses
    """Number of classes; that of the dataset."""
