"""Guesses from names and shapes why weights do not fit a network, and says what to set instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cromss.weights.bands import FirstLayer
from cromss.weights.part import Part, first_convolution, shapes

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

_IN_CONF = ("resnet18", "resnet34", "resnet50")


def resnet_stages(shapes: Shapes) -> tuple[int, ...]:
    """Blocks per stage of a ResNet, as far as it goes; empty for other encoders."""
    blocks = {match.groups() for name in shapes if (match := re.match(r"layer(\d)\.(\d+)\.", name))}
    counts: list[int] = []
    while count := sum(stage == str(len(counts) + 1) for stage, _ in blocks):
        counts.append(count)
    return tuple(counts)


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


def why_not_encoder(encoder: Part, wrong: Sequence[str], layer: FirstLayer | None, trained_with: str | None) -> str:
    """Says why an encoder does not fit.

    Args:
        encoder: That of the file beside that of the network.
        wrong: Names of tensors that differ.
        layer: Its first convolution.
        trained_with: Its name in the weights' own config, where they carry one.
    """
    if layer is not None and layer.cause and list(wrong) == [first_convolution(encoder.target)]:
        return layer.cause
    found, wanted = shapes(encoder.source), shapes(encoder.target)
    names = resnet_name(found), resnet_name(wanted)
    stages = resnet_stages(found), resnet_stages(wanted)
    if names[0] and names[1] and names[0] != names[1]:
        return f"weights of a {_title(names[0])}, the network has a {_title(names[1])}: set {_choice(names[0])}"
    if names[0] and stages[0] == stages[1][: len(stages[0])] != stages[1]:
        depth = len(stages[0]) + 1
        return (
            f"the weights end with stage {depth} of a {_title(names[0])}, the network's encoder with stage "
            f"{len(stages[1]) + 1}: set backbone.encoder=tu-{names[0]} backbone.encoder_depth={depth}"
        )
    name = trained_with or names[0]
    said = f"set backbone.encoder={name}" if name else "set backbone.encoder=… with the one they were trained in"
    return f"weights of another architecture than the network's encoder: {said}"


def why_not_decoder(trained_with: str | None) -> str:
    """Says why a decoder does not fit; `trained_with` is its name, where the file tells it."""
    named = f"backbone.decoder={trained_with}" if trained_with else "backbone.decoder=… (published: unet)"
    return (
        f"the weights' decoder is of another kind or has other channels: set {named} as they were trained with, or "
        "backbone.load=encoder for a new decoder"
    )


def why_not_head(head: Part) -> str:
    """Says why a head does not fit."""
    # Its last tensor is the bias of the last layer, a number per class.
    found, wanted = (len(list(tensors.values())[-1]) for tensors in (head.source, head.target))
    return f"a head for {found} classes, the network has {wanted}: set backbone.load=encoder+decoder for a new head"


def _title(name: str) -> str:
    return name.replace("resnet", "ResNet-")


def _choice(name: str) -> str:
    return f"backbone={name}" if name in _IN_CONF else f"backbone.encoder={name}"
