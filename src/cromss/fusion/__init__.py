"""How modalities meet: images by modality -> logits by branch."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.fusion.networks import FUSED, FusionNetwork, LateFusion, MidFusion, SingleFusion, build, fused_probs
    from cromss.fusion.unused import freeze_unused

__all__ = [
    "FUSED",
    "FusionNetwork",
    "LateFusion",
    "MidFusion",
    "SingleFusion",
    "build",
    "freeze_unused",
    "fused_probs",
]

__getattr__ = names_of(__name__, dict.fromkeys(__all__, "networks") | {"freeze_unused": "unused"})
