"""Convolutional segmentation networks from segmentation_models_pytorch, described by plain values."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.base import SegmentationModel
from torch import nn

from cromss.backbone.options import DECODERS, NORMS, unknown

CHANNEL_KEYWORDS = {"fpn": "decoder_pyramid_channels", "pspnet": "psp_out_channels"}
"""Decoders that call their ``decoder_channels`` otherwise."""

SMALLEST = {"pan": 128}
"""Pixels per side that a decoder needs at least: PAN halves the encoder's last features three times more."""


@dataclass(frozen=True)
class Backbone:
    """An encoder and a decoder, not yet built: the fusion decides how many bands and classes they have.

    No weights are downloaded: a network starts from random weights.

    Attributes:
        encoder: A name of segmentation_models_pytorch, e.g. ``"resnet50"``, or ``"tu-"`` and a name of timm.
        decoder: One of `DECODERS`.
        encoder_depth: Stages of the encoder, each halving the size; None takes the decoder's usual number.
        decoder_channels: Channels of the decoder, a number per block for unet, unetplusplus and manet, else one number;
            None takes the decoder's usual ones, for unet 256 128 64 32 16 as published.
        decoder_norm: Normalisation in the decoder: ``"batchnorm"``, ``"instancenorm"`` or ``"identity"``
            for none; None takes the decoder's usual one, batch norm.
        batch_norm_momentum: Weight in (0, 1] of a batch in the running statistics that evaluation uses; None is
            torch's 0.1, which remembers about ten batches: too few where batches are small and unlike each other.

    Raises:
        ValueError: Unknown encoder or decoder (the message names close ones), or channels for a decoder without any.
    """

    encoder: str
    decoder: str
    encoder_depth: int | None
    decoder_channels: int | Sequence[int] | None
    decoder_norm: str | None
    batch_norm_momentum: float | None

    def __post_init__(self) -> None:
        if self.decoder not in DECODERS:
            raise ValueError(unknown("decoder", self.decoder, DECODERS))
        if self.encoder.startswith("tu-"):
            if not timm.is_model(self.encoder.removeprefix("tu-")):
                raise ValueError(unknown("encoder", self.encoder, (f"tu-{name}" for name in timm.list_models())))
        elif self.encoder not in smp.encoders.get_encoder_names():
            raise ValueError(unknown("encoder", self.encoder, smp.encoders.get_encoder_names()))
        if self.batch_norm_momentum is not None and not 0 < self.batch_norm_momentum <= 1:
            raise ValueError(f"batch_norm_momentum={self.batch_norm_momentum} is not in (0, 1]: e.g. 0.1, or null")
        if self.decoder_channels is not None and self._channel_keyword not in self._parameters:
            raise ValueError(f"decoder={self.decoder} has no decoder_channels to set: set decoder_channels to null")
        if self.decoder_channels is not None:
            usual = self._parameters[self._channel_keyword].default
            if isinstance(usual, int) != isinstance(self.decoder_channels, int):
                wanted = "one number" if isinstance(usual, int) else "a number per block"
                raise ValueError(
                    f"decoder_channels={self.decoder_channels}: decoder={self.decoder} needs {wanted}, e.g. "
                    f"{usual if isinstance(usual, int) else list(usual)}; null takes that"
                )
        if self.decoder_norm is not None:
            if "decoder_use_norm" not in self._parameters:
                raise ValueError(f"decoder={self.decoder} has no decoder_norm to set: set decoder_norm to null")
            if self.decoder_norm not in NORMS:
                raise ValueError(unknown("decoder_norm", self.decoder_norm, NORMS))
            if (self.decoder, self.decoder_norm) == ("upernet", "instancenorm"):
                raise ValueError(
                    "decoder=upernet pools to single pixels, which decoder_norm=instancenorm cannot normalise: set "
                    "decoder_norm to batchnorm or identity"
                )

    def network(self, bands: int, classes: int) -> SegmentationModel:
        """Builds encoder, decoder and head with random weights.

        Args:
            bands: Number of input bands K.
            classes: Number of classes C.

        Returns:
            A module with parts ``encoder``, ``decoder`` and ``segmentation_head``: ``(B, K, H, W)`` to logits
            ``(B, C, H, W)``.

        Raises:
            ValueError: Encoder, decoder, depth and channels do not go together.
        """
        options: dict[str, Any] = {}
        if self.encoder_depth is not None:
            options["encoder_depth"] = self.encoder_depth
        if self.decoder_channels is not None:
            options[self._channel_keyword] = self.decoder_channels
        if self.decoder_norm is not None:
            options["decoder_use_norm"] = NORMS[self.decoder_norm]
        try:
            network = smp.create_model(
                self.decoder, self.encoder, encoder_weights=None, in_channels=bands, classes=classes, **options
            )
        # Encoders and decoders raise different errors.
        except (ValueError, NotImplementedError, RuntimeError) as error:
            raise ValueError(
                f"backbone.decoder={self.decoder} cannot be built on backbone.encoder={self.encoder} with "
                f"encoder_depth={self.encoder_depth}, decoder_channels={self.decoder_channels} ({error}): choose "
                "another encoder or decoder, or null for depth and channels"
            ) from error
        if self.batch_norm_momentum is not None:
            for layer in network.modules():
                if isinstance(layer, nn.BatchNorm2d):
                    layer.momentum = self.batch_norm_momentum
        return network

    @property
    def depth(self) -> int:
        """Stages of the encoder."""
        return self.encoder_depth or self._parameters["encoder_depth"].default

    @cached_property
    def required_multiple(self) -> int:
        """Height and width of an image must be multiples of this many pixels; 1 if any size is possible."""
        if not self._architecture.requires_divisible_input_shape:
            return 1
        # Dilated encoders stop halving at their output stride.
        dilated = self._parameters.get("encoder_output_stride")
        return min(2**self.depth, dilated.default if dilated else 32)

    @property
    def smallest(self) -> int:
        """Height and width of an image must be at least this many pixels."""
        return max(SMALLEST.get(self.decoder, 1), self.required_multiple)

    @property
    def _architecture(self) -> type[SegmentationModel]:
        return smp.MODEL_ARCHITECTURES_MAPPING[self.decoder]

    @property
    def _parameters(self) -> dict[str, inspect.Parameter]:
        return dict(inspect.signature(self._architecture.__init__).parameters)

    @property
    def _channel_keyword(self) -> str:
        return CHANNEL_KEYWORDS.get(self.decoder, "decoder_channels")


def decoder_blocks(decoder: nn.Module) -> list[tuple[str, nn.Module]]:
    """Splits a decoder into blocks that can be loaded or trained one by one.

    Args:
        decoder: Of segmentation_models_pytorch. The U-Nets and LinkNet keep their blocks in a list ``blocks``, beside
            which there may be a ``center`` before them; every part of another decoder is a block.

    Returns:
        Names within the decoder and modules, from the deepest features to the finest; parts without weights left out.
        Together they hold all of the decoder's weights.
    """
    parts: list[tuple[str, nn.Module]] = []
    for name, child in decoder.named_children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            parts += [(f"{name}.{inner}", block) for inner, block in child.named_children()]
        else:
            parts.append((name, child))
    return [(name, part) for name, part in parts if any(True for _ in part.parameters())]
