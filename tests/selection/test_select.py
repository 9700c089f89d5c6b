"""The options of the selection group, and the ramps."""

import math

import pytest
import torch

from cromss.selection import CrossModalSelection, NoSelection, label_confidence, prediction_confidence, ramp

OPTIONS = {
    "prop": 0.5,
    "ramp": "exp",
    "ramp_epochs": 80,
    "confidence": "entropy",
    "entangle": True,
    "class_balanced": True,
}


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    logits = {name: torch.randn(2, 4, 12, 12, generator=generator, requires_grad=True) for name in ("s1", "s2")}
    return logits, torch.randint(0, 4, (2, 12, 12), generator=generator)


def test_weights_have_the_promised_form(batch):
    logits, labels = batch
    labels[:, :3] = 255
    selection = CrossModalSelection(**OPTIONS)({k: v.bfloat16() for k, v in logits.items()}, labels, epoch=40)
    for weights in (selection.label, selection.prediction):
        assert set(weights) == {"s1", "s2"}
        for weight in weights.values():
            assert weight.shape == labels.shape
            assert weight.dtype == torch.float32
            assert not weight.requires_grad
            assert weight.max() <= 1
            assert weight[:, :3].abs().sum() == 0
            assert weight[:, 3:].min() > 0


def test_a_third_branch_changes_nothing(batch):
    logits, labels = batch
    two = CrossModalSelection(**OPTIONS)(logits, labels, 40)
    three = CrossModalSelection(**OPTIONS)(logits | {"common": torch.randn(2, 4, 12, 12)}, labels, 40)
    assert set(three.label) == {"s1", "s2"}
    assert torch.equal(two.label["s1"], three.label["s1"])


def test_without_entangling_each_judges_alone(batch):
    """At full progress and keep 0 the weights are the confidences themselves."""
    logits, labels = batch
    selection = CrossModalSelection(**OPTIONS | {"entangle": False, "prop": 0.0})(logits, labels, 80)
    for name, branch in logits.items():
        torch.testing.assert_close(selection.label[name], label_confidence(branch, labels))
        torch.testing.assert_close(selection.prediction[name], prediction_confidence(branch))


def test_without_ramp_full_from_the_start(batch):
    logits, labels = batch
    none = CrossModalSelection(**OPTIONS | {"ramp": "none"})(logits, labels, 0)
    late = CrossModalSelection(**OPTIONS)(logits, labels, 80)
    assert torch.equal(none.label["s2"], late.label["s2"])
    assert torch.equal(none.prediction["s2"], late.prediction["s2"])


def test_logits_of_ignored_pixels_change_no_weight(batch):
    logits, labels = batch
    labels[:, :, 5:] = 255
    before = CrossModalSelection(**OPTIONS)(logits, labels, 40)
    moved = {name: branch.detach().clone() for name, branch in logits.items()}
    for branch in moved.values():
        branch[..., 5:] = 7 * torch.randn_like(branch[..., 5:])
    after = CrossModalSelection(**OPTIONS)(moved, labels, 40)
    for name in ("s1", "s2"):
        assert torch.equal(before.label[name], after.label[name])
        assert torch.equal(before.prediction[name], after.prediction[name])


def test_no_selection_counts_labelled_pixels_alike():
    labels = torch.tensor([[[0, 255, 1]]])
    selection = NoSelection()({"s2": torch.randn(1, 2, 1, 3)}, labels, 3)
    assert set(selection.label) == set(selection.prediction) == {"s2"}
    assert selection.label["s2"].tolist() == selection.prediction["s2"].tolist() == [[[1, 0, 1]]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"prop": 1.5}, r"selection\.prop=1\.5.*\[0, 1\]"),
        ({"prop": -0.1}, r"selection\.prop=-0\.1"),
        ({"prop": float("nan")}, r"selection\.prop=nan"),
        ({"ramp": "cosine"}, r"selection\.ramp=cosine.*exp, linear, none"),
        ({"ramp_epochs": 0}, "ramp_epochs=0.*at least 1"),
        ({"confidence": "ce"}, r"selection\.confidence=ce.*entropy, gini"),
        ({"scope": "rank"}, r"selection\.scope=rank.*global, batch"),
    ],
)
def test_wrong_options(wrong, message):
    with pytest.raises(ValueError, match=message):
        CrossModalSelection(**OPTIONS | wrong)


def test_one_modality_is_reported_what_to_do():
    with pytest.raises(ValueError, match=r"s1 is missing.*selection=none"):
        CrossModalSelection(**OPTIONS)({"s2": torch.randn(1, 2, 2, 2)}, torch.zeros(1, 2, 2, dtype=torch.long), 0)


@pytest.mark.parametrize(
    ("kind", "epoch", "expected"),
    [
        ("exp", 0, math.exp(-5)),
        ("exp", 5, math.exp(-5 / 4)),
        ("linear", 0, 0),
        ("linear", 4, 0.4),
        ("none", 0, 1),
        *((kind, epoch, 1) for kind in ("exp", "linear", "none") for epoch in (10, 11, 500)),
    ],
)
def test_ramps_of_ten_epochs(kind, epoch, expected):
    assert ramp(kind, epoch, 10) == pytest.approx(expected)


def test_unknown_ramp_names_the_choices():
    with pytest.raises(ValueError, match="ramp=cosine.*exp, linear, none"):
        ramp("cosine", 0, 10)
