"""The keys of the backbone group: the parts of the network, the weights that they start from, freezing."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cromss.backbone.options import DECODERS, FREEZE_MODES, NORMS
from cromss.config.choices import BRANCHES
from cromss.config.settings import OPTIONAL, AddressText, Count, Means, Part, PathText, Settings, Text, part_of
from cromss.config.words import OneOf
from cromss.weights.origins import LOAD_PATTERN, LOADS, NONE, ORIGINS

Decoder = Annotated[str, OneOf(DECODERS)]
Depth = Annotated[int, Field(ge=1, le=5)]
Channels = Annotated[int, Field(ge=1, le=65536)]
DecoderChannels = Annotated[
    Channels | Annotated[list[Channels], Field(min_length=1)] | None,
    Means("a whole number, or a list of whole numbers, of at least 1, or null"),
]
Norm = Annotated[str, OneOf(tuple(NORMS))] | None
Momentum = Annotated[float, Field(gt=0, le=1)] | None
Origin = Annotated[str, OneOf((NONE, *ORIGINS))]
Amount = Annotated[str, Field(pattern=LOAD_PATTERN), Means(f"one of {', '.join(LOADS)}")]
Checksum = Annotated[str, Field(pattern="^[0-9a-fA-F]{64}$")]
Branch = Annotated[str, OneOf(BRANCHES)]


class BranchPaths(Settings):
    """A path per branch; a branch that is left out starts from random weights."""

    s1: AddressText | None = OPTIONAL
    s2: AddressText | None = OPTIONAL
    common: AddressText | None = OPTIONAL


class BranchChecksums(Settings):
    """A checksum per branch."""

    s1: Checksum | None = OPTIONAL
    s2: Checksum | None = OPTIONAL
    common: Checksum | None = OPTIONAL


WeightsPath = Annotated[AddressText | BranchPaths | None, Means("a path, a URL, {s1: ..., s2: ...}, or null")]
WeightsChecksum = Annotated[
    Checksum | BranchChecksums | None, Means("64 hexadecimal digits in quotes, {s1: ..., s2: ...}, or null")
]


class Network(Settings):
    """Arguments of `cromss.backbone.Backbone`."""

    encoder: Text
    """Name of an encoder of segmentation_models_pytorch, or ``tu-`` and a name of timm."""

    decoder: Decoder
    """The decoder; unet as published."""

    encoder_depth: Depth | None
    """Stages of the encoder, each halving the size; null for the decoder's usual number, 5 for unet."""

    decoder_channels: DecoderChannels
    """Channels of the decoder, one number per block or a single one; null for the decoder's usual ones."""

    decoder_norm: Norm
    """Normalisation in the decoder; null for batchnorm."""

    batch_norm_momentum: Momentum
    """Weight of a batch in the running statistics; null for 0.1."""


class BackboneGroup(Network):
    """The parts of the network, and the weights that they start from."""

    weights: Origin
    """The weights that training starts from; ``none`` for random ones."""

    weights_path: WeightsPath
    """File, URL or hf://ORG/REPO/FILE of these weights, or one per branch; null for random or published ones."""

    weights_sha256: WeightsChecksum
    """SHA-256 of that file; a download that differs is refused."""

    weights_cache: PathText
    """Folder of downloads."""

    weights_modality: Branch | None
    """Which encoder of the file is loaded; null for that of the branch that it is loaded into."""

    load: Amount
    """What is loaded: the encoder, with the first N decoder blocks, with the decoder, or all with the head."""

    adapt_bands: bool
    """Whether weights for other bands are matched by the names of the bands."""

    freeze: Annotated[str, OneOf(FREEZE_MODES)]
    """The encoder: trained, frozen, or frozen with batch-norm statistics that follow the data as published."""

    freeze_epochs: Count | None
    """Epoch from which a frozen encoder is trained; null for never."""

    network: Part
    """Builds the network; its keys refer to those of the group."""

    start: Part
    """Loads its weights; its keys refer to those of the group."""

    freezing: Part
    """Freezes it; its keys refer to those of the group."""


Start = part_of(
    BackboneGroup,
    "load",
    "adapt_bands",
    origin="weights",
    path="weights_path",
    sha256="weights_sha256",
    cache="weights_cache",
    modality="weights_modality",
)
"""Arguments of `cromss.weights.Weights`."""

Freeze = part_of(BackboneGroup, mode="freeze", epochs="freeze_epochs")
"""Arguments of `cromss.backbone.Freezing`."""
