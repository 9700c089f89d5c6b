"""The blocks of a decoder, from the deepest features to the finest, whatever its architecture calls them."""

from __future__ import annotations

from torch import nn


def decoder_blocks(decoder: nn.Module) -> list[tuple[str, nn.Module]]:
    """Splits a decoder into blocks that can be loaded or trained one by one.

    Args:
        decoder: Of segmentation_models_pytorch. The U-Nets and LinkNet keep their blocks in a list ``blocks``, beside
            which there may be a ``center`` before them; every part of another decoder is a block.

    Returns:
        Names within the decoder and modules, in the order in which the features pass; parts without weights left out.
        Together they hold all of the decoder's weights.
    """
    parts: list[tuple[str, nn.Module]] = []
    for name, child in decoder.named_children():
        if isinstance(child, nn.ModuleList):
            parts += [(f"{name}.{i}", block) for i, block in enumerate(child)]
        elif isinstance(child, nn.ModuleDict):
            parts += [(f"{name}.{key}", block) for key, block in child.items()]
        else:
            parts.append((name, child))
    return [(name, part) for name, part in parts if any(True for _ in part.parameters())]
