import pytest
import torch

from cromss.backbone import DECODERS
from cromss.fusion import SingleFusion, freeze_unused
from helpers.backbones import backbone_of


@pytest.mark.parametrize("decoder", DECODERS)
def test_weights_without_influence_are_not_trained_and_all_others_get_a_gradient(decoder):
    net = SingleFusion(backbone_of("resnet18", decoder), "s2", {"s2": 13}, 4)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    unused = freeze_unused(net)
    # PSPNet's encoder halves the size three times and leaves the last two stages unused.
    assert {name.split(".")[1] for name in unused} == ({"layer3", "layer4"} if decoder == "pspnet" else set())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(module.training for module in net.modules())
    net({"s2": torch.rand(2, 13, 128, 128)})["s2"].sum().backward()
    without = [name for name, weight in net.named_parameters() if weight.grad is None]
    assert without == unused


def test_an_encoder_for_one_size_alone_is_refused():
    net = SingleFusion(backbone_of("tu-swin_tiny_patch4_window7_224", "unet"), "s1", {"s1": 2}, 4)
    with pytest.raises(ValueError, match="takes no images of 128 x 128 px .*: choose one that takes any size"):
        freeze_unused(net)
