"""Weights of a network that nothing depends on."""

from __future__ import annotations

import torch
from torch import Tensor

from cromss.fusion.networks import FusionNetwork


def leave_out_idle(net: FusionNetwork) -> list[str]:
    """Marks the weights that have no influence on the logits as not to be trained.

    Some decoders (PSPNet, FPN, DeepLabV3+, ...) pass over stages of the encoder. Their weights get no gradient, which
    stops a training that is distributed over processes.

    Args:
        net: A fusion network on the CPU, not trained yet. Its batch-norm statistics stay as they are.

    Returns:
        The names of those weights.

    Raises:
        ValueError: The encoder takes images of one size alone.
    """
    named = [(name, weight) for name, weight in net.named_parameters() if weight.requires_grad]
    modes = {module: module.training for module in net.modules()}
    net.eval()
    images = {modality: torch.zeros(1, bands, 128, 128) for modality, bands in net.bands.items()}
    try:
        logits: dict[str, Tensor] = net(images)
    # So timm's encoders refuse another size than the one that they were made for.
    except AssertionError as error:
        raise ValueError(
            f"backbone.encoder takes no images of 128 x 128 px ({error}): choose one that takes any size"
        ) from error
    total = torch.stack([branch.sum() for branch in logits.values()]).sum()
    gradients = torch.autograd.grad(total, [weight for _, weight in named], allow_unused=True)
    for module, mode in modes.items():
        module.training = mode
    idle = [pair for pair, gradient in zip(named, gradients, strict=True) if gradient is None]
    for _, weight in idle:
        weight.requires_grad_(False)
    return [name for name, _ in idle]
