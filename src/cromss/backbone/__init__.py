"""Encoders, decoders and heads, and the weights that they start from."""

from typing import TYPE_CHECKING

from cromss.lazy import names_of

if TYPE_CHECKING:
    from cromss.backbone.blocks import decoder_blocks
    from cromss.backbone.freeze import Freezing
    from cromss.backbone.load import load_weights
    from cromss.backbone.report import LoadReport
    from cromss.backbone.smp import DECODERS, Backbone
    from cromss.backbone.weights import Weights

__all__ = ["DECODERS", "Backbone", "Freezing", "LoadReport", "Weights", "decoder_blocks", "load_weights"]

__getattr__ = names_of(
    __name__,
    {
        "Backbone": "smp",
        "DECODERS": "smp",
        "Freezing": "freeze",
        "LoadReport": "report",
        "Weights": "weights",
        "decoder_blocks": "blocks",
        "load_weights": "load",
    },
)
