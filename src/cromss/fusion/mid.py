"""Middle fusion: an encoder a modality, one decoder and head for all."""

from __future__ import annotations

from collections.abc import Mapping

from cromss.backbone import Backbone
from cromss.fusion.images import FusionNetwork, Parts, wanted_bands
from cromss.types import MODALITIES


class MidFusion(FusionNetwork):
    """Two encoders whose features go, one modality after the other, through the same decoder and head.

    The names of the parts are those of the published checkpoints: ``encoder1`` is S1, ``encoder`` is S2 and
    ``encoder_com`` sees both stacked, S1 first.

    Args:
        backbone: Encoder and decoder.
        bands: Modality -> number of bands, for ``"s1"`` and ``"s2"``.
        classes: Number of classes C.
        common: Adds the third branch, which sees both modalities.

    Attributes:
        branches: ``("s1", "s2")`` or ``("s1", "s2", "common")``.
        parts: Branch -> where its encoder, decoder and head lie; the latter two are the same for all.
        required_multiple: Image sides must be multiples of this many pixels.

    Raises:
        ValueError: The dataset lacks a modality.
    """

    def __init__(self, backbone: Backbone, bands: Mapping[str, int], classes: int, common: bool) -> None:
        super().__init__()
        self.bands = wanted_bands(bands, MODALITIES)
        self.branches = (*MODALITIES, "common") if common else MODALITIES
        self.required_multiple = backbone.required_multiple
        encoders = {"s1": "encoder1", "s2": "encoder", "common": "encoder_com"}
        self.parts = {b: Parts(encoders[b], "decoder", "segmentation_head") for b in self.branches}
        self.encoder1 = backbone.network(self.bands["s1"], classes).encoder
        optical = backbone.network(self.bands["s2"], classes)
        self.encoder = optical.encoder
        if common:
            self.encoder_com = backbone.network(sum(self.bands.values()), classes).encoder
        self.decoder = optical.decoder
        self.segmentation_head = optical.segmentation_head
