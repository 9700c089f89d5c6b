"""Fusion networks: images by modality -> logits by branch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import torch
from segmentation_models_pytorch.base import SegmentationModel
from torch import Tensor, nn

from cromss.backbone import Backbone
from cromss.fusion.parts import LATE, MID, SINGLE, Parts
from cromss.types import BRANCHES, MODALITIES, Prediction, as_prediction, seen_by

FUSED = "fused"
"""Name of what all branches predict together."""


class FusionNetwork(nn.Module):
    """What every fusion is: images by modality -> logits by branch, and where its parts lie.

    Args:
        backbone: Encoder and decoder of all branches.
        bands: Modality -> number of bands; entries of modalities that no branch sees are not used.
        parts: Branch -> where its encoder, decoder and head lie, in the order in which branches are reported.

    Attributes:
        backbone: Encoder and decoder of all branches.
        bands: Modality that it sees -> number of bands.
        parts: Branch -> where its encoder, decoder and head lie.

    Raises:
        ValueError: The dataset does not have a modality that a branch sees.
    """

    def __init__(self, backbone: Backbone, bands: Mapping[str, int], parts: Mapping[str, Parts]) -> None:
        super().__init__()
        self.backbone = backbone
        self.parts = dict(parts)
        seen = [modality for modality in MODALITIES if any(modality in seen_by(branch) for branch in parts)]
        if missing := [modality for modality in seen if not bands.get(modality)]:
            raise ValueError(
                f"this fusion sees {' and '.join(seen)}, but the dataset has bands of {', '.join(bands) or 'nothing'}: "
                f"{', '.join(missing)} is missing; choose fusion=single with a modality that is there, or a dataset "
                "with both"
            )
        self.bands = {modality: bands[modality] for modality in seen}

    @property
    def branches(self) -> tuple[str, ...]:
        """What it predicts from, in the order in which branches are reported."""
        return tuple(self.parts)

    def forward(self, images: Mapping[str, Tensor], branches: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Images by modality, ``(B, K, H, W)`` -> logits by branch, ``(B, C, H, W)``.

        Args:
            images: Of the modalities that the branches see.
            branches: Those to predict from; None takes all.

        Raises:
            ValueError: A modality is missing, has another number of bands than the network or another size than the
                other modality, or a side is no multiple of `Backbone.required_multiple`.
        """
        wanted = self.branches if branches is None else branches
        self._check(images, {modality: self.bands[modality] for branch in wanted for modality in seen_by(branch)})
        return {branch: self._logits(branch, images) for branch in wanted}

    def encoders(self) -> list[nn.Module]:
        """The encoder of each branch."""
        return [self.get_submodule(parts.encoder) for parts in self.parts.values()]

    def _logits(self, branch: str, images: Mapping[str, Tensor]) -> Tensor:
        seen = [images[modality] for modality in seen_by(branch)]
        image = seen[0] if len(seen) == 1 else torch.cat(seen, dim=1)
        encoder, decoder, head = (self.get_submodule(name) for name in self.parts[branch])
        return head(decoder(encoder(image)))

    def _check(self, images: Mapping[str, Tensor], bands: Mapping[str, int]) -> None:
        """Compares shapes only, so nothing waits for the device."""
        multiple = self.backbone.required_multiple
        if missing := [modality for modality in bands if modality not in images]:
            raise ValueError(f"the network sees {', '.join(bands)}, and {', '.join(missing)} is missing in the batch")
        sizes = {tuple(images[modality].shape[-2:]) for modality in bands}
        if len(sizes) > 1:
            raise ValueError(f"the modalities of a batch must have one size, not {' and '.join(map(str, sizes))}")
        for modality, number in bands.items():
            found, height, width = images[modality].shape[-3:]
            if found != number:
                raise ValueError(f"the network was built for {number} bands of {modality}, the images have {found}")
            if height % multiple or width % multiple:
                nearest = max(multiple, min(height, width) // multiple * multiple)
                raise ValueError(
                    f"images are {height} x {width} px and this decoder needs multiples of {multiple}: crop to "
                    f"{nearest} (dataset.crop={nearest}), or choose decoder=unet, which takes any size"
                )

    def _network(self, branch: str, classes: int) -> SegmentationModel:
        """A network of segmentation_models_pytorch for what a branch sees."""
        return self.backbone.network(sum(self.bands[modality] for modality in seen_by(branch)), classes)


class SingleFusion(FusionNetwork):
    """One branch: one modality alone, the baseline of fusion, or both modalities stacked before the network.

    Args:
        backbone: Encoder and decoder.
        modality: What the network sees: ``"s1"``, ``"s2"``, or ``"common"`` for both stacked, S1 first.
        bands: Modality -> number of bands.
        classes: Number of classes C.

    Raises:
        ValueError: The modality is unknown, or the dataset does not have it.
    """

    def __init__(self, backbone: Backbone, modality: str, bands: Mapping[str, int], classes: int) -> None:
        if modality not in BRANCHES:
            raise ValueError(f"modality={modality!r} is unknown: choose one of {', '.join(BRANCHES)}")
        super().__init__(backbone, bands, {modality: SINGLE})
        network = self._network(modality, classes)
        self.encoder = network.encoder
        self.decoder = network.decoder
        self.segmentation_head = network.segmentation_head


class PairFusion(FusionNetwork):
    """Two branches, one per modality, and a third one on request.

    Args:
        backbone: Encoder and decoder.
        bands: Modality -> number of bands, for ``"s1"`` and ``"s2"``.
        classes: Number of classes C.
        common: Adds a third branch, ``"common"``, which sees both modalities stacked, S1 first.

    Raises:
        ValueError: The dataset does not have both modalities.
    """

    names: ClassVar[Mapping[str, Parts]]
    """Branch -> where its encoder, decoder and head lie."""

    def __init__(self, backbone: Backbone, bands: Mapping[str, int], classes: int, common: bool) -> None:
        branches = BRANCHES if common else MODALITIES
        super().__init__(backbone, bands, {branch: self.names[branch] for branch in branches})
        self._add({branch: self._network(branch, classes) for branch in branches})

    def _add(self, networks: Mapping[str, SegmentationModel]) -> None:
        """Makes a network per branch, or parts of it, part of this one."""
        raise NotImplementedError


class MidFusion(PairFusion):
    """Middle fusion: an encoder per modality, whose features pass one after the other through one decoder and head."""

    names = MID

    def _add(self, networks: Mapping[str, SegmentationModel]) -> None:
        for branch, parts in self.parts.items():
            self.add_module(parts.encoder, networks[branch].encoder)
        self.decoder = networks["s2"].decoder
        self.segmentation_head = networks["s2"].segmentation_head


class LateFusion(PairFusion):
    """Late fusion: a whole network per modality; they meet only in selection and losses."""

    names = LATE

    def _add(self, networks: Mapping[str, SegmentationModel]) -> None:
        for branch, parts in self.parts.items():
            self.add_module(parts.encoder.partition(".")[0], networks[branch])


PAIRS = {"mid": MidFusion, "late": LateFusion}
"""Fusions of two modalities by the names that `build` takes."""


def build(kind: str, encoder: str, s1_bands: int, s2_bands: int, classes: int, common: bool = False) -> FusionNetwork:
    """A network as published: a U-Net of decoder channels 256 128 64 32 16 on random weights.

    Args:
        kind: ``"mid"``, ``"late"``, or ``"single"``, which sees the one modality whose number of bands is not 0.
        encoder: A name of segmentation_models_pytorch, e.g. ``"resnet50"``.
        s1_bands: Number of S1 bands, 2.
        s2_bands: Number of S2 bands: 3, 9, 10, 12 or 13.
        classes: Number of classes C.
        common: Adds a third branch ``"common"``, which sees both modalities stacked.

    Returns:
        A module from images by modality, ``{"s1": (B, K1, H, W), "s2": (B, K2, H, W)}``, to logits by branch,
        ``(B, C, H, W)`` each. The state-dict keys of mid and late are those of the published checkpoints without
        their ``net.``.

    Raises:
        ValueError: Unknown kind or encoder, or bands that do not go with the kind.
    """
    backbone = Backbone(
        encoder, "unet", encoder_depth=None, decoder_channels=None, decoder_norm=None, batch_norm_momentum=None
    )
    bands = {modality: number for modality, number in (("s1", s1_bands), ("s2", s2_bands)) if number}
    if kind in PAIRS:
        return PAIRS[kind](backbone, bands, classes, common)
    if kind != "single":
        raise ValueError(f"fusion {kind!r} is unknown: choose one of single, {', '.join(PAIRS)}")
    if len(bands) != 1 or common:
        raise ValueError(
            f"fusion 'single' sees one modality, got s1_bands={s1_bands}, s2_bands={s2_bands}, common={common}: "
            "set the other modality's number of bands to 0 and common to False"
        )
    (modality,) = bands
    return SingleFusion(backbone, modality, bands, classes)


def fused_probs(branches: Iterable[Tensor | Prediction]) -> Tensor:
    """The mean of the branches' class probabilities, float32 ``(B, C, H, W)`` in [0, 1]."""
    return torch.stack([as_prediction(branch).probs for branch in branches]).mean(dim=0)
