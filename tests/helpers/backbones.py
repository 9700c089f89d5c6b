"""Backbones with everything at its usual value but what a test is about."""

from cromss.backbone import Backbone

USUAL = {"encoder_depth": None, "decoder_channels": None, "decoder_norm": None, "batch_norm_momentum": None}


def backbone_of(encoder, decoder, **changes):
    return Backbone(encoder, decoder, **(USUAL | changes))
