import pytest
import torch
from torch import nn

from cromss.backbone import DECODERS, Backbone
from cromss.backbone.options import NORMS
from helpers.backbones import backbone_of


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_gives_logits_of_the_image_size(decoder):
    backbone = backbone_of("resnet18", decoder)
    network = backbone.network(bands=2, classes=9).eval()
    with torch.no_grad():
        logits = network(torch.rand(1, 2, 128, 128))
        features = network.decoder(network.encoder(torch.rand(1, 2, 128, 128)))
        assert network.segmentation_head(features).shape == logits.shape == (1, 9, 128, 128)


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_required_multiple_is_the_smallest_that_works(decoder):
    backbone = backbone_of("resnet18", decoder)
    network = backbone.network(bands=2, classes=3).eval()
    multiple = backbone.required_multiple
    side = 128 + multiple
    with torch.no_grad():
        assert network(torch.rand(1, 2, side, side)).shape == (1, 3, side, side)
        if multiple > 1:
            with pytest.raises(RuntimeError, match="divisible"):
                network(torch.rand(1, 2, 128 + multiple // 2, 128))


def test_depth_and_channels_reach_the_decoder():
    network = backbone_of("resnet18", "unet", encoder_depth=3, decoder_channels=[32, 16, 8]).network(4, 5)
    assert len(network.decoder.blocks) == 3
    assert network.segmentation_head[0].weight.shape[:2] == (5, 8)
    assert network.encoder.conv1.weight.shape[1] == 4
    pyramid = backbone_of("resnet18", "fpn", decoder_channels=64).network(4, 5)
    assert pyramid.decoder.p5.weight.shape[0] == 64
    assert backbone_of("resnet18", "fpn", encoder_depth=4).required_multiple == 16


def test_unet_has_the_published_channels():
    network = backbone_of("resnet50", "unet").network(13, 9)
    channels = [block.conv2[0].weight.shape[0] for block in network.decoder.blocks]
    assert channels == [256, 128, 64, 32, 16]


def test_timm_encoders_are_known_by_name():
    network = backbone_of("tu-resnet18", "unet").network(2, 3).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 2, 64, 64)).shape == (1, 3, 64, 64)


@pytest.mark.parametrize(
    ("encoder", "decoder", "channels", "message"),
    [
        ("resnet55", "unet", None, "encoder='resnet55' is unknown: did you mean .*resnet50"),
        ("tu-resnet19", "unet", None, "did you mean .*tu-resnet18"),
        ("resnet50", "unett", None, "decoder='unett' is unknown: did you mean unet"),
        ("resnet50", "xyz", None, "choose one of unet, "),
        ("resnet50", "linknet", 64, "decoder_channels to null"),
    ],
)
def test_unknown_names_are_answered_with_close_ones(encoder, decoder, channels, message):
    with pytest.raises(ValueError, match=message):
        backbone_of(encoder, decoder, decoder_channels=channels)


@pytest.mark.parametrize(
    ("encoder", "decoder", "changes", "message"),
    [
        ("densenet121", "deeplabv3", {}, "backbone.decoder=deeplabv3 cannot be built on backbone.encoder=densenet121"),
        ("mit_b0", "linknet", {}, "cannot be built on backbone.encoder=mit_b0"),
        ("resnet18", "unet", {"encoder_depth": 9}, "encoder_depth=9.* null for depth and channels"),
        ("resnet18", "unet", {"decoder_channels": [64, 32]}, r"decoder_channels=\[64, 32\]"),
    ],
)
def test_parts_that_do_not_go_together_are_named(encoder, decoder, changes, message):
    with pytest.raises(ValueError, match=message):
        backbone_of(encoder, decoder, **changes).network(3, 2)


def test_batch_norm_momentum_reaches_every_layer():
    network = backbone_of("resnet18", "unet", batch_norm_momentum=0.02)
    layers = [layer for layer in network.network(2, 3).modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert len(layers) > 20
    assert {layer.momentum for layer in layers} == {0.02}


@pytest.mark.parametrize("momentum", [0, 1.5, -0.1])
def test_an_impossible_momentum_is_refused(momentum):
    with pytest.raises(ValueError, match=r"not in \(0, 1\]"):
        backbone_of("resnet18", "unet", batch_norm_momentum=momentum)


def test_the_decoder_norm_is_the_one_asked_for():
    usual = backbone_of("resnet18", "unet").network(3, 2).decoder
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in usual.modules())
    plain = backbone_of("resnet18", "unet", decoder_norm="identity").network(3, 2).decoder
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in plain.modules())
    with pytest.raises(ValueError, match="decoder_norm='group' is unknown"):
        backbone_of("resnet18", "unet", decoder_norm="group")
    with pytest.raises(ValueError, match="decoder=fpn has no decoder_norm"):
        backbone_of("resnet18", "fpn", decoder_norm="identity")


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("norm", NORMS)
def test_every_decoder_is_built_and_trained_with_every_norm_or_says_that_it_has_none(decoder, norm):
    settings = {"encoder_depth": None, "decoder_channels": None, "batch_norm_momentum": None}
    if decoder in ("deeplabv3", "deeplabv3plus", "fpn", "pan"):
        with pytest.raises(ValueError, match=f"decoder={decoder} has no decoder_norm to set"):
            Backbone("resnet18", decoder, decoder_norm=norm, **settings)
        return
    if (decoder, norm) == ("upernet", "instancenorm"):
        with pytest.raises(ValueError, match="pools to single pixels"):
            Backbone("resnet18", decoder, decoder_norm=norm, **settings)
        return
    network = Backbone("resnet18", decoder, decoder_norm=norm, **settings).network(2, 3).to("meta").train()
    logits = network(torch.zeros(2, 2, 64, 64, device="meta"))
    assert logits.shape == (2, 3, 64, 64)
    names = {type(layer).__name__ for layer in network.decoder.modules()}
    assert ("InstanceNorm2d" in names) == (norm == "instancenorm")
