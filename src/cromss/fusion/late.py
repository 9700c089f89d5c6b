"""Late fusion: a whole network a modality, which meet only in selection and losses."""

from __future__ import annotations

from collections.abc import Mapping

from cromss.backbone import Backbone
from cromss.fusion.images import FusionNetwork, Parts, wanted_bands
from cromss.types import MODALITIES


class LateFusion(FusionNetwork):
    """Two networks side by side, with no weights in common.

    The names of the parts are those of the published checkpoints: ``model1`` is S1, ``model2`` is S2 and
    ``model_com`` sees both stacked, S1 first.

    Args:
        backbone: Encoder and decoder.
        bands: Modality -> number of bands, for ``"s1"`` and ``"s2"``.
        classes: Number of classes C.
        common: Adds the third branch, which sees both modalities.

    Attributes:
        branches: ``("s1", "s2")`` or ``("s1", "s2", "common")``.
        parts: Branch -> where its encoder, decoder and head lie.
        required_multiple: Image sides must be multiples of this many pixels.

    Raises:
        ValueError: The dataset lacks a modality.
    """

    def __init__(self, backbone: Backbone, bands: Mapping[str, int], classes: int, common: bool) -> None:
        super().__init__()
        self.bands = wanted_bands(bands, MODALITIES)
        self.branches = (*MODALITIES, "common") if common else MODALITIES
        self.required_multiple = backbone.required_multiple
        names = {"s1": "model1", "s2": "model2", "common": "model_com"}
        self.parts = {branch: Parts.of(names[branch]) for branch in self.branches}
        self.model1 = backbone.network(self.bands["s1"], classes)
        self.model2 = backbone.network(self.bands["s2"], classes)
        if common:
            self.model_com = backbone.network(sum(self.bands.values()), classes)
