"""How modalities meet: images by modality -> logits by branch."""

from __future__ import annotations

from torch import nn

from cromss.backbone import Backbone
from cromss.fusion.late import LateFusion
from cromss.fusion.mid import MidFusion
from cromss.fusion.single import SingleFusion

__all__ = ["LateFusion", "MidFusion", "SingleFusion", "build"]

FUSIONS = {"mid": MidFusion, "late": LateFusion}


def build(kind: str, encoder: str, s1_bands: int, s2_bands: int, classes: int, common: bool = False) -> nn.Module:
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
    if kind in FUSIONS:
        return FUSIONS[kind](backbone, bands, classes, common)
    if kind != "single":
        raise ValueError(f"fusion {kind!r} is unknown: choose one of single, {', '.join(FUSIONS)}")
    if len(bands) != 1 or common:
        raise ValueError(
            f"fusion 'single' sees one modality, got s1_bands={s1_bands}, s2_bands={s2_bands}, common={common}: "
            "set the other modality's number of bands to 0 and common to False"
        )
    (modality,) = bands
    return SingleFusion(backbone, modality, bands, classes)
