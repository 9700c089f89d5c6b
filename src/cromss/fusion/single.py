"""One branch: one modality alone, the baseline that fusion is measured against, or both stacked before the network."""

from __future__ import annotations

from collections.abc import Mapping

from cromss.backbone import Backbone
from cromss.fusion.images import FusionNetwork, Parts, wanted_bands
from cromss.types import BRANCHES, seen_by


class SingleFusion(FusionNetwork):
    """An ordinary segmentation network, with the parts ``encoder``, ``decoder`` and ``segmentation_head``.

    Args:
        backbone: Encoder and decoder.
        modality: What the network sees: ``"s1"``, ``"s2"``, or ``"common"`` for both stacked, S1 first.
        bands: Modality -> number of bands; entries of other modalities are not used.
        classes: Number of classes C.

    Attributes:
        branches: The one branch, named after the modality.
        parts: That branch -> where its encoder, decoder and head lie.
        required_multiple: Image sides must be multiples of this many pixels.

    Raises:
        ValueError: The dataset has no such modality.
    """

    def __init__(self, backbone: Backbone, modality: str, bands: Mapping[str, int], classes: int) -> None:
        super().__init__()
        if modality not in BRANCHES:
            raise ValueError(f"modality={modality!r} is unknown: choose one of {', '.join(BRANCHES)}")
        self.bands = wanted_bands(bands, seen_by(modality))
        self.branches = (modality,)
        self.parts = {modality: Parts(*Parts._fields)}
        self.required_multiple = backbone.required_multiple
        network = backbone.network(sum(self.bands.values()), classes)
        self.encoder = network.encoder
        self.decoder = network.decoder
        self.segmentation_head = network.segmentation_head
