"""Guesses from names and shapes why the weights of an encoder do not fit a network."""

from __future__ import annotations

import re
from collections.abc import Mapping

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


def likely_cause(found: Shapes, wanted: Shapes, trained_with: str | None) -> str:
    """One sentence that says why an encoder does not fit, apart from its bands, and what to set instead.

    Args:
        found: Of the weights.
        wanted: Of the network.
        trained_with: The encoder's name in the weights' own config, where they carry one.
    """
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
    encoder = trained_with or names[0]
    said = f"set backbone.encoder={encoder}" if encoder else "set backbone.encoder=… with the one they were trained in"
    return f"weights of another architecture than the network's encoder: {said}"


def _title(name: str) -> str:
    return name.replace("resnet", "ResNet-")


def _choice(name: str) -> str:
    return f"backbone={name}" if name in _IN_CONF else f"backbone.encoder={name}"
