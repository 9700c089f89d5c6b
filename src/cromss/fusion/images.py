"""What every fusion is, and what it asks of its input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cromss.types import MODALITIES, seen_by


class Parts(NamedTuple):
    """Where the parts of one branch lie in a fusion network: dotted names, as in its state dict."""

    encoder: str
    decoder: str
    segmentation_head: str

    @classmethod
    def of(cls, network: str) -> Parts:
        """The parts of a whole network that lies under the name `network`."""
        return cls(*(f"{network}.{part}" for part in cls._fields))


class FusionNetwork(nn.Module):
    """What every fusion is: images by modality -> logits by branch, and where its parts lie.

    Attributes:
        bands: Modality that it sees -> number of bands.
        branches: What it predicts from, in the order in which branches are reported.
        parts: Branch -> where its encoder, decoder and head lie.
        required_multiple: Image sides must be multiples of this many pixels.
    """

    bands: dict[str, int]
    branches: tuple[str, ...]
    parts: dict[str, Parts]
    required_multiple: int

    def forward(self, images: Mapping[str, Tensor], branches: Sequence[str] | None = None) -> dict[str, Tensor]:
        """Images by modality, ``(B, K, H, W)`` -> logits by branch, ``(B, C, H, W)``.

        Args:
            images: Of the modalities that the branches see.
            branches: Those to predict from; None takes all.

        Raises:
            ValueError: See `check_images`.
        """
        wanted = self.branches if branches is None else branches
        bands = {modality: self.bands[modality] for branch in wanted for modality in seen_by(branch)}
        check_images(images, bands, self.required_multiple)
        return {branch: self._logits(branch, images) for branch in wanted}

    def encoders(self) -> list[nn.Module]:
        """The encoder of each branch."""
        return [self.get_submodule(parts.encoder) for parts in self.parts.values()]

    def _logits(self, branch: str, images: Mapping[str, Tensor]) -> Tensor:
        image = stack(images) if branch == "common" else images[branch]
        encoder, decoder, head = (self.get_submodule(name) for name in self.parts[branch])
        return head(decoder(encoder(image)))


def stack(images: Mapping[str, Tensor]) -> Tensor:
    """Both modalities as bands of one image ``(B, K1 + K2, H, W)``, S1 first."""
    return torch.cat([images[modality] for modality in MODALITIES], dim=1)


def wanted_bands(bands: Mapping[str, int], modalities: Sequence[str]) -> dict[str, int]:
    """The entries of the given modalities, in their order.

    Raises:
        ValueError: A modality without bands.
    """
    if missing := [modality for modality in modalities if not bands.get(modality)]:
        raise ValueError(
            f"this fusion sees {' and '.join(modalities)}, but the dataset has bands of "
            f"{', '.join(bands) or 'nothing'}: {', '.join(missing)} is missing; choose fusion=single with a modality "
            "that is there, or a dataset with both"
        )
    return {modality: bands[modality] for modality in modalities}


def check_images(images: Mapping[str, Tensor], bands: Mapping[str, int], multiple: int) -> None:
    """Compares shapes only, so nothing waits for the device.

    Raises:
        ValueError: A modality is missing, has another number of bands than the network, another size than the other
            modality, or a side that is no multiple of `multiple`.
    """
    if missing := [modality for modality in bands if modality not in images]:
        raise ValueError(f"the network sees {', '.join(bands)}, the batch lacks {', '.join(missing)}")
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
