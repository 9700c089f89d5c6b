"""Weights of a network that have no influence on its output."""

from __future__ import annotations

import torch
from torch import Tensor

from cromss.fusion.networks import FusionNetwork


def freeze_unused(net: FusionNetwork) -> list[str]:
    """Turns off the gradient of weights that have no influence on the logits.

    Some decoders (PSPNet, FPN, DeepLabV3+, ...) do not use all stages of the encoder. The weights of the others get no
    gradient, which stops a training that is distributed over processes.

    Args:
        net: A fusion network on the CPU, not trained yet. Its batch-norm statistics stay as they are.

    Returns:
        The names of those weights.

    Raises:
        ValueError: The encoder takes only images of one size.
    """
    named = [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]
    modes = {module: module.training for module in net.modules()}
    net.eval()
    images = {modality: torch.zeros(1, bands, 128, 128) for modality, bands in net.bands.items()}
    try:
        logits: dict[str, Tensor] = net(images)
    # Raised by encoders of timm that were made for one size.
    except AssertionError as error:
        raise ValueError(
            f"backbone.encoder takes no images of 128 x 128 px ({error}): choose one that takes any size"
        ) from error
    total = torch.stack([branch.sum() for branch in logits.values()]).sum()
    gradients = torch.autograd.grad(total, [weight for _, weight in named], allow_unused=True)
    for module, mode in modes.items():
        module.training = mode
    unused = [pair for pair, gradient in zip(named, gradients, strict=True) if gradient is None]
    for _, weight in unused:
        weight.requires_grad_(False)
    return [name for name, _ in unused]
