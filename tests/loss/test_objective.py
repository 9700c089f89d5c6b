"""The objective: its parts, ignored pixels, and combinations that cannot work."""

import pytest
import torch

from cromss.loss import Objective
from cromss.selection import CrossModalSelection, NoSelection
from cromss.smoothing import smooth_labels
from cromss.types import PixelWeights

SELECT = CrossModalSelection(
    prop=0.5, ramp="exp", ramp_epochs=80, confidence="entropy", entangle=True, class_balanced=True
)
EVERYTHING = [
    {"segmentation": "ce_dice", "consistency": "ce"},
    {"segmentation": "focal", "consistency": "kl"},
    {"segmentation": "ce_dice_focal", "consistency": "mse"},
]


def make_logits(names=("s1", "s2"), size=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(2, 4, size, size, generator=generator, requires_grad=True) for name in names}


def make_labels(size=10):
    return torch.randint(0, 4, (2, size, size), generator=torch.Generator().manual_seed(1))


def gradients(loss, logits):
    return torch.autograd.grad(loss.total, list(logits.values()))


def test_total_is_the_sum_of_its_terms():
    logits = make_logits(("s1", "s2", "common"))
    loss = Objective("ce_dice", "ce", consistency_weight=0.3, num_classes=4)(logits, make_labels())
    terms = loss.terms
    for name in logits:
        assert terms[f"{name}/loss_seg"] == terms[f"{name}/loss_ce"] + terms[f"{name}/loss_dice"]
    assert terms["loss_consistency"] == terms["s1/loss_consistency"] + terms["s2/loss_consistency"]
    segmentation = sum(terms[f"{name}/loss_seg"] for name in logits)
    torch.testing.assert_close(loss.total.detach(), segmentation + 0.3 * terms["loss_consistency"])
    assert not any(term.requires_grad for term in terms.values())


def test_the_common_branch_counts_every_pixel_alike():
    logits, labels = make_logits(("s1", "s2", "common")), make_labels()
    objective = Objective("ce", "none", num_classes=4)
    weighted = objective(logits, labels, SELECT(logits, labels, 80)).terms
    plain = objective(logits, labels).terms
    assert weighted["common/loss_seg"] == plain["common/loss_seg"]
    assert weighted["s1/loss_seg"] != plain["s1/loss_seg"]


def test_no_selection_is_no_weights():
    logits, labels = make_logits(), make_labels()
    labels[:, :2] = 255
    objective = Objective(num_classes=4)
    assert objective(logits, labels, NoSelection()(logits, labels, 0)).total == objective(logits, labels).total


def test_hard_labels_are_one_hot_targets():
    logits, labels = make_logits(), make_labels()
    labels[0, 3] = 255
    objective = Objective("ce_dice_focal", num_classes=4)
    assert objective(logits, labels).total == objective(logits, smooth_labels(labels, None, (), 4)).total
    assert objective(logits, labels.to(torch.uint8)).total == objective(logits, labels).total


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("options", EVERYTHING)
def test_ignored_pixels_have_no_influence(options, soft):
    """Other logits there change nothing, no gradient reaches them, and cutting them off changes nothing."""
    objective = Objective(**options, num_classes=4)
    labels = make_labels()
    labels[:, 6:] = 255

    def run(logits, labels):
        target = smooth_labels(labels, None, (0.1,), 4) if soft else labels
        loss = objective(logits, target, SELECT(logits, labels, 40))
        return loss, gradients(loss, logits)

    logits = make_logits()
    moved = {name: branch.detach().clone() for name, branch in logits.items()}
    for branch in moved.values():
        branch[:, :, 6:] *= -9
        branch.requires_grad_()
    cut = {name: branch.detach()[:, :, :6].requires_grad_() for name, branch in logits.items()}

    loss, grads = run(logits, labels)
    other_loss, other_grads = run(moved, labels)
    cut_loss, cut_grads = run(cut, labels[:, :6])
    assert loss.total == other_loss.total
    torch.testing.assert_close(loss.total, cut_loss.total)
    for grad, other, smaller in zip(grads, other_grads, cut_grads, strict=True):
        assert grad[:, :, 6:].abs().max() == 0
        assert torch.equal(grad, other)
        torch.testing.assert_close(grad[:, :, :6], smaller)


def test_weights_at_ignored_pixels_have_no_influence():
    logits, labels = make_logits(), make_labels()
    labels[:, :, 4:] = 255
    ones = {name: torch.ones(2, 10, 10) for name in logits}
    weights = PixelWeights(label=ones, prediction=ones)
    objective = Objective("ce_dice_focal", num_classes=4)
    assert objective(logits, labels, weights).total == objective(logits, labels).total


@pytest.mark.parametrize("select", [SELECT, NoSelection()])
@pytest.mark.parametrize("options", EVERYTHING)
def test_nothing_labelled_gives_nothing(options, select):
    logits, labels = make_logits(), torch.full((2, 10, 10), 255)
    loss = Objective(**options, num_classes=4)(logits, labels, select(logits, labels, 40))
    assert loss.total.item() == 0
    for grad in gradients(loss, logits):
        assert torch.equal(grad, torch.zeros_like(grad))


def test_float32_under_autocast():
    logits, labels = make_logits(), make_labels()
    half = {name: branch.detach().bfloat16() for name, branch in logits.items()}
    objective = Objective("ce_dice_focal", num_classes=4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = objective(half, labels, SELECT(half, labels, 40)).total
    assert loss.dtype == torch.float32
    full = {name: branch.float() for name, branch in half.items()}
    assert loss == objective(full, labels, SELECT(full, labels, 40)).total


def test_one_modality_trains_without_consistency():
    logits = make_logits(("s2",))
    loss = Objective("ce_dice", "none", num_classes=4)(logits, make_labels())
    assert loss.total == loss.terms["s2/loss_seg"]
    with pytest.raises(ValueError, match=r"only s2.*loss\.consistency=none"):
        Objective("ce_dice", "ce", num_classes=4)(logits, make_labels())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segmentation": "cd"}, "'cd'.*ce, dice, focal"),
        ({"segmentation": "ce_ce"}, "'ce_ce'.*at most once"),
        ({"consistency": "cosine"}, r"loss\.consistency=cosine.*ce, kl, mse, none"),
        ({"consistency_weight": -1.0}, "consistency_weight=-1.0.*>= 0"),
        ({"scope": "rank"}, r"loss\.scope=rank.*global, batch"),
    ],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        Objective(**options)


def test_wrong_number_of_classes():
    with pytest.raises(ValueError, match=r"s1 logits \(2, 4, 10, 10\).*num_classes=9"):
        Objective(num_classes=9)(make_logits(), make_labels())
