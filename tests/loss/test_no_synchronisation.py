"""On an accelerator nothing asks for a value before the step is over: shown on tensors that have no values."""

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.testing._internal.distributed.fake_pg import FakeStore

from cromss.loss import Objective
from cromss.selection import CrossModalSelection
from cromss.smoothing import LabelSmoothing
from cromss.smoothing.prior import gaussian_blocks
from cromss.types import Prediction


@pytest.fixture
def device():
    gaussian_blocks.cache_clear()
    with FakeTensorMode():
        yield torch.device("cuda")
    gaussian_blocks.cache_clear()


@pytest.fixture
def two_processes():
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=2)
    yield
    dist.destroy_process_group()


def test_the_probe_notices(device):
    with pytest.raises(DataDependentOutputException):
        torch.zeros(2, device=device).sum().item()
    with pytest.raises(DataDependentOutputException):
        bool(torch.zeros((), device=device) > 0)
    with pytest.raises(DynamicOutputShapeException):
        torch.zeros(2, device=device)[torch.zeros(2, device=device) > 0]


def assert_passes(logits, labels, kind, class_balanced, objective):
    smoothing = LabelSmoothing(kind, (0.15, 0.05), 5)
    select = CrossModalSelection(0.5, "exp", 80, "entropy", entangle=True, class_balanced=class_balanced)
    branches = {name: Prediction(branch) for name, branch in logits.items()}
    season = torch.zeros(2, dtype=torch.long, device=labels.device)
    target = smoothing(labels, season, labels[:, 0], lambda maps: maps)
    weights = select(branches, labels[:, 0], epoch=30)
    loss = objective(branches, target, weights)
    assert loss.total.device.type == "cuda"
    assert loss.total.requires_grad


@pytest.mark.parametrize("kind", ["spatiotemporal", "spatial", "temporal"])
@pytest.mark.parametrize("class_balanced", [True, False])
@pytest.mark.parametrize("consistency", ["ce", "kl", "mse", "none"])
def test_a_whole_forward_pass(device, kind, class_balanced, consistency):
    logits = {name: torch.randn(2, 5, 60, 50, device=device, requires_grad=True) for name in ("s1", "s2", "common")}
    labels = torch.zeros(2, 4, 60, 50, dtype=torch.uint8, device=device)
    assert_passes(logits, labels, kind, class_balanced, Objective("ce_dice_focal", consistency, num_classes=5))


def test_a_forward_pass_of_two_processes(device, two_processes):
    logits = {name: torch.randn(2, 5, 60, 50, device=device, requires_grad=True) for name in ("s1", "s2", "common")}
    labels = torch.zeros(2, 4, 60, 50, dtype=torch.uint8, device=device)
    objective = Objective("ce_dice_focal", num_classes=5, scope="global")
    assert_passes(logits, labels, "spatial", True, objective)
