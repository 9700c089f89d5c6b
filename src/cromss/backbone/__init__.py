"""Encoders, decoders and heads."""

from cromss.backbone.smp import DECODERS, Backbone

__all__ = ["DECODERS", "Backbone"]
