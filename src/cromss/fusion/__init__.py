"""How modalities meet: images by modality -> logits by branch."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.fusion.idle import leave_out_idle
    from cromss.fusion.networks import FUSED, FusionNetwork, LateFusion, MidFusion, SingleFusion, build, fused_probs

__all__ = [
    "FUSED",
    "FusionNetwork",
    "LateFusion",
    "MidFusion",
    "SingleFusion",
    "build",
    "fused_probs",
    "leave_out_idle",
]

__getattr__ = names_of(__name__, dict.fromkeys(__all__, "networks") | {"leave_out_idle": "idle"})
