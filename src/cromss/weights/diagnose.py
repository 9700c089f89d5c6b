"""Guesses from names and shapes why weights do not fit a network, and says what to set instead."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

from cromss.weights.part import Part, shapes
from cromss.weights.weights_file import WeightsFile

Shapes = Mapping[str, tuple[int, ...]]
"""Names within an encoder, as torchvision and timm have them -> shapes."""

RESNETS: Mapping[str, tuple[bool, tuple[int, ...]]] = {
    "resnet18": (False, (2, 2, 2, 2)),
    "resnet34": (False, (3, 4, 6, 3)),
    "resnet50": (True, (3, 4, 6, 3)),
    "resnet101": (True, (3, 4, 23, 3)),
    "resnet152": (True, (3, 8, 36, 3)),
}
"""Name -> whether its blocks are bottlenecks (three convolutions), and blocks per stage (He et al. 2016)."""


def resnet_stages(shapes: Shapes) -> tuple[int, ...]:
    """Blocks per stage of a ResNet, for its existing stages; empty for other encoders."""
    blocks = {match.groups() for name in shapes if (match := re.match(r"layer(\d)\.(\d+)\.", name))}
    counts = (sum(stage == number for stage, _ in blocks) for number in "1234")
    return tuple(itertools.takewhile(bool, counts))


def resnet_name(shapes: Shapes) -> str | None:
    """The first of `RESNETS` whose stages these are, or begin with; None for other encoders."""
    stages = resnet_stages(shapes)
    described = ("layer1.0.conv3.weight" in shapes, stages)
    # ResNeXts and wide ResNets have the blocks of ResNets and more channels within.
    if not stages or shapes.get("layer1.0.conv2.weight", (64, 64))[:2] != (64, 64):
        return None
    return next(
        (name for name, (bottleneck, blocks) in RESNETS.items() if (bottleneck, blocks[: len(stages)]) == described),
        None,
    )


def encoder_mismatch(encoder: Part, file: WeightsFile) -> str:
    """The reason why an encoder does not fit, apart from its bands."""
    name, wanted = (resnet_name(shapes(tensors)) for tensors in (encoder.source, encoder.target))
    if name and wanted and name != wanted:
        return f"weights of a {name}, the network has a {wanted}: set backbone.encoder={name}"
    stages, needed = (resnet_stages(shapes(tensors)) for tensors in (encoder.source, encoder.target))
    if name and stages == needed[: len(stages)] != needed:
        depth = len(stages) + 1
        return (
            f"the weights end with stage {depth} of a {name}, the network's encoder with stage {len(needed) + 1}: set "
            f"backbone.encoder=tu-{name} backbone.encoder_depth={depth}"
        )
    name = file.network.encoder or name or "… with the one that they were trained in"
    return f"weights of another architecture than the network's encoder: set backbone.encoder={name}"


def decoder_mismatch(file: WeightsFile) -> str:
    """The reason why a decoder does not fit."""
    decoder = file.network.decoder or "… (published: unet)"
    return (
        f"the weights' decoder is of another kind or has other channels: set backbone.decoder={decoder} as they were "
        "trained with, or backbone.load=encoder for a new decoder"
    )


def head_mismatch(head: Part) -> str:
    """The reason why a head does not fit."""
    # Its last tensor is the bias of the last layer, a number per class.
    found, wanted = (len(list(tensors.values())[-1]) for tensors in (head.source, head.target))
    return f"a head for {found} classes, the network has {wanted}: set backbone.load=encoder+decoder for a new head"
