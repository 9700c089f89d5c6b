"""ImageNet weights from where segmentation_models_pytorch and timm keep them."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
import torch
from requests import RequestException
from segmentation_models_pytorch.encoders.timm_universal import TimmUniversalEncoder
from torch import nn

from cromss.backbone.part import plain
from cromss.weights.weights_file import WeightsFile


def imagenet_weights(encoder: nn.Module) -> WeightsFile:
    """Fetches the published ImageNet weights for an encoder, or takes them from the cache of huggingface_hub.

    Args:
        encoder: Of segmentation_models_pytorch, of any number of bands.

    Returns:
        A plain state dict for 3 bands, R, G, B.

    Raises:
        ValueError: There are no such weights, or there is no network.
    """
    made: Any = encoder
    is_timm = isinstance(encoder, TimmUniversalEncoder)
    name = f"tu-{made.name}" if is_timm else _smp_name(encoder)
    try:
        pretrained = smp.encoders.get_encoder(
            name, in_channels=3, depth=made._depth, weights=True if is_timm else "imagenet"
        )
    # huggingface_hub's errors for a missing network are OSErrors, timm's for a model without weights a RuntimeError.
    except (OSError, RuntimeError, RequestException) as error:
        raise ValueError(
            f"ImageNet weights of {name} cannot be fetched ({str(error).splitlines()[0]}): try again with a network, "
            "or take the state dict of torchvision or timm from a file by backbone.weights_path=FILE"
        ) from error
    return WeightsFile(f"ImageNet weights of {name}", None, None, plain(pretrained.state_dict())[1])


def _smp_name(encoder: nn.Module) -> str:
    """The name under which `get_encoder` makes such an encoder, told by its shapes: the encoder does not know it."""
    wanted = _shapes(encoder)
    for name, entry in smp.encoders.encoders.items():
        if entry["encoder"] is type(encoder) and "imagenet" in entry["pretrained_settings"]:
            with torch.device("meta"):
                candidate = entry["encoder"](**entry["params"])
            if _shapes(candidate) == wanted:
                return name
    raise ValueError(
        "backbone.weights=imagenet has no weights for this encoder: choose another, e.g. backbone=resnet50, or give a "
        "file by backbone.weights_path=FILE"
    )


def _shapes(encoder: nn.Module) -> dict[str, torch.Size]:
    """Shapes of all weights; of the first convolution, which depends on the bands, only its place."""
    shapes = {name: value.shape for name, value in encoder.named_parameters()}
    first = next(name for name, shape in shapes.items() if len(shape) == 4)
    return shapes | {first: torch.Size()}
