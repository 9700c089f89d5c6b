import math

import pytest
import torch

from cromss.backbone import DECODERS
from cromss.fusion import MidFusion, SingleFusion
from cromss.trainer.optim import cosine, exponential, parameter_groups, step
from helpers.backbones import backbone_of


def optimizer(*rates):
    return torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates], lr=1.0)


def rates(optimizer, settings, epochs):
    """The rates of each epoch."""
    rows = []
    for _ in range(epochs):
        rows.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        settings["scheduler"].step()
    return rows


def test_cosine_falls_to_its_lowest_rate_and_stays():
    adam = optimizer(5e-4)
    rows = rates(adam, cosine(adam, epochs=40, lowest=1e-5), 50)
    assert rows[0] == [pytest.approx(5e-4)]
    assert rows[10] == [pytest.approx(1e-5 + 4.9e-4 * (1 + math.cos(math.pi / 4)) / 2)]
    assert rows[20] == [pytest.approx((5e-4 + 1e-5) / 2)]
    assert rows[40:] == [[pytest.approx(1e-5)]] * 10


def test_cosine_keeps_the_share_of_parts_that_learn_slower():
    adam = optimizer(1e-3, 8e-4)
    for fast, slow in rates(adam, cosine(adam, epochs=4, lowest=1e-4), 6):
        assert slow == pytest.approx(0.8 * fast)


def test_cosine_refuses_to_end_above_its_start():
    with pytest.raises(ValueError, match=r"trainer.scheduler.lowest=1.0 is above trainer.optimizer.lr=0.001"):
        cosine(optimizer(1e-3), epochs=4, lowest=1.0)


def test_step_falls_every_so_many_epochs():
    adam = optimizer(1.0)
    assert [row[0] for row in rates(adam, step(adam, every=2, gamma=0.1), 5)] == pytest.approx([1, 1, 0.1, 0.1, 0.01])


def test_exponential_falls_by_its_factor():
    adam = optimizer(1.0)
    assert [row[0] for row in rates(adam, exponential(adam, gamma=0.5), 4)] == [1, 0.5, 0.25, 0.125]


def test_a_rate_of_nothing_stays_nothing():
    adam = optimizer(0.0)
    assert rates(adam, cosine(adam, epochs=2, lowest=0.0), 3) == [[0.0]] * 3


def named_rates(net, order):
    """Name of a weight -> its rate."""
    by_weight = {id(p): group["lr"] for group in parameter_groups(net, 1.0, order, 0.8) for p in group["params"]}
    return {name: by_weight[id(weight)] for name, weight in net.named_parameters()}


@pytest.mark.parametrize(("order", "powers"), [("rising", [5, 4, 3, 2, 1, 0]), ("falling", [0, 1, 2, 3, 4, 5])])
def test_rates_go_from_block_to_block_up_to_the_head(order, powers):
    found = named_rates(SingleFusion(backbone_of("resnet18", "unet"), "s1", {"s1": 2}, 3), order)
    names = [*(f"decoder.blocks.{i}.conv1.0.weight" for i in range(5)), "segmentation_head.0.weight"]
    assert [found[name] for name in names] == pytest.approx([0.8**power for power in powers])
    assert found["encoder.conv1.weight"] == 1


def test_equal_rates_are_one_group_with_every_weight_once():
    net = MidFusion(backbone_of("resnet18", "unet"), {"s1": 2, "s2": 13}, 3, False)
    (group,) = parameter_groups(net, 1.0, "equal", 0.8)
    assert len(group["params"]) == len(list(net.parameters()))


@pytest.mark.parametrize("decoder", DECODERS)
def test_every_decoder_has_blocks_whose_rates_differ(decoder):
    net = SingleFusion(backbone_of("resnet18", decoder), "s1", {"s1": 2}, 3)
    groups = parameter_groups(net, 1.0, "rising", 0.8)
    assert len(groups) > 2
    assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
