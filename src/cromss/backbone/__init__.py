"""Encoders, decoders and heads: networks from plain arguments."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.backbone.freeze import Freezing, trainable
    from cromss.backbone.options import DECODERS
    from cromss.backbone.smp import Backbone, decoder_blocks

__all__ = ["DECODERS", "Backbone", "Freezing", "decoder_blocks", "load_weights", "trainable"]

__getattr__ = names_of(
    __name__,
    {
        "Backbone": "smp",
        "DECODERS": "options",
        "Freezing": "freeze",
        "decoder_blocks": "smp",
        "trainable": "freeze",
        "load_weights": "cromss.weights.load",  # a public name of this package, whose code stands above the networks
    },
)
