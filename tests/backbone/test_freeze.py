import pytest
import torch

from cromss.backbone import Freezing, trainable
from cromss.fusion import LateFusion, MidFusion, SingleFusion
from helpers.backbones import backbone_of

BANDS = {"s1": 2, "s2": 13}


def network(fusion="single"):
    backbone = backbone_of("resnet18", "unet")
    if fusion == "single":
        return SingleFusion(backbone, "s2", BANDS, 4)
    return {"mid": MidFusion, "late": LateFusion}[fusion](backbone, BANDS, 4, False)


def images():
    return {
        name: torch.rand(2, bands, 64, 64, generator=torch.Generator().manual_seed(1)) for name, bands in BANDS.items()
    }


def step(net, freezing, epoch):
    """One forward and backward pass in the state of an epoch."""
    encoders = net.encoders()
    freezing.apply(encoders, list(net.encoder.parameters()), epoch)
    net.zero_grad()
    logits = net(images())["s2"]
    logits.sum().backward()
    return logits


def statistics(net):
    return net.encoder.bn1.running_mean.clone()


@pytest.mark.parametrize(("mode", "drifts"), [("frozen", False), ("reference", True)])
def test_a_frozen_encoder_gets_no_gradient_and_its_statistics_do_as_the_mode_says(mode, drifts):
    net = network()
    before = statistics(net)
    step(net, Freezing(mode, None), epoch=5)
    assert all(weight.grad is None for weight in net.encoder.parameters())
    assert all(weight.grad is not None for weight in net.decoder.parameters())
    assert torch.equal(statistics(net), before) is not drifts


def test_nothing_of_a_frozen_encoder_is_kept_for_the_backward_pass():
    net = network()
    Freezing("frozen", None).apply(net.encoders(), list(net.encoder.parameters()), 0)
    assert all(feature.grad_fn is None for feature in net.encoder(images()["s2"])[1:])


def test_an_encoder_is_unfrozen_at_its_epoch_and_freezes_again_where_a_run_starts_before_it():
    net, freezing = network(), Freezing("frozen", 2)
    for epoch, frozen in ((2, False), (1, True), (3, False), (0, True)):
        before = statistics(net)
        step(net, freezing, epoch)
        assert (net.encoder.conv1.weight.grad is None) is frozen
        assert torch.equal(statistics(net), before) is frozen


def test_a_trained_encoder_is_left_alone():
    net = network()
    step(net, Freezing("none", None), 0)
    assert all(weight.grad is not None for weight in net.encoder.parameters())


@pytest.mark.parametrize(("fusion", "number"), [("single", 1), ("mid", 2), ("late", 2)])
def test_every_branch_has_an_encoder(fusion, number):
    net = network(fusion)
    encoders = net.encoders()
    assert len({id(encoder) for encoder in encoders}) == number
    assert len(list(trainable(encoders))) == number * len(list(encoders[0].parameters()))


@pytest.mark.parametrize(
    ("mode", "epochs", "message"),
    [
        ("half", None, "backbone.freeze='half' is unknown: choose one of none, frozen, reference"),
        ("frozen", 0, "backbone.freeze_epochs=0: at least 1"),
        ("none", 3, "set backbone.freeze=frozen"),
    ],
)
def test_what_has_no_meaning_is_refused(mode, epochs, message):
    with pytest.raises(ValueError, match=message):
        Freezing(mode, epochs)
