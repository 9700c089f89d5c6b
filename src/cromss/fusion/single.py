"""One modality alone: the baseline that fusion is measured against."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from cromss.backbone import Backbone
from cromss.fusion.images import check_images, wanted_bands


class SingleFusion(nn.Module):
    """An ordinary segmentation network, with the parts ``encoder``, ``decoder`` and ``segmentation_head``.

    Args:
        backbone: Encoder and decoder.
        modality: The one modality that the network sees.
        bands: Modality -> number of bands; entries of other modalities are not used.
        classes: Number of classes C.

    Attributes:
        branches: The one branch, named after the modality.
        required_multiple: Image sides must be multiples of this many pixels.

    Raises:
        ValueError: The dataset has no such modality.
    """

    def __init__(self, backbone: Backbone, modality: str, bands: Mapping[str, int], classes: int) -> None:
        super().__init__()
        self.bands = wanted_bands(bands, (modality,))
        self.branches = (modality,)
        self.required_multiple = backbone.required_multiple
        network = backbone.network(self.bands[modality], classes)
        self.encoder = network.encoder
        self.decoder = network.decoder
        self.segmentation_head = network.segmentation_head

    def forward(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Images by modality, ``(B, K, H, W)`` -> the branch's logits ``(B, C, H, W)``; errors of `check_images`."""
        check_images(images, self.bands, self.required_multiple)
        (branch,) = self.branches
        return {branch: self.segmentation_head(self.decoder(self.encoder(images[branch])))}
