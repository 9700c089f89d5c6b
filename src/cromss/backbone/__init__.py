"""Encoders, decoders and heads: networks from plain arguments."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.backbone.blocks import decoder_blocks
    from cromss.backbone.freeze import Freezing
    from cromss.backbone.smp import DECODERS, Backbone
    from cromss.weights.load import load_weights

__all__ = ["DECODERS", "Backbone", "Freezing", "decoder_blocks", "load_weights"]

__getattr__ = names_of(
    __name__,
    {
        "Backbone": "smp",
        "DECODERS": "smp",
        "Freezing": "freeze",
        "decoder_blocks": "blocks",
        "load_weights": "cromss.weights.load",  # a public name of this package, whose code stands above the networks
    },
)
