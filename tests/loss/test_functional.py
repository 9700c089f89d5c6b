"""Segmentation losses and consistency on cases that can be worked by hand, and their gradients."""

import math

import pytest
import torch

from cromss.loss import Objective, cross_entropy, dice, focal, one_hot
from cromss.loss.functional import CONSISTENCIES, _ClassSums, mean_of_sums, weighted_sums
from cromss.types import PixelWeights, Prediction


def pixels(*probabilities):
    """Distributions, one a pixel, as ``(1, C, 1, N)``."""
    return torch.tensor(probabilities).T[None, :, None]


def predict(*probabilities):
    return Prediction(pixels(*probabilities).log())


# Two pixels: predicted (0.8, 0.2) and (0.4, 0.6), labelled 0 and 1, weights 1 and 0.5.
PREDICTED = ([0.8, 0.2], [0.4, 0.6])
TARGET = one_hot(torch.tensor([[[0, 1]]]), 2)
WEIGHT = torch.tensor([[[1.0, 0.5]]])


def test_one_hot_leaves_ignored_pixels_empty():
    assert one_hot(torch.tensor([[[1, 255]]], dtype=torch.uint8), 2).tolist() == [[[[0, 0]], [[1, 0]]]]


def test_cross_entropy_by_hand():
    expected = -(1.0 * math.log(0.8) + 0.5 * math.log(0.6)) / 1.5
    assert cross_entropy(predict(*PREDICTED), TARGET, WEIGHT).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_of_soft_labels_by_hand():
    expected = -(0.7 * math.log(0.8) + 0.3 * math.log(0.2))
    loss = cross_entropy(predict([0.8, 0.2]), pixels([0.7, 0.3]), torch.ones(1, 1, 1))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_dice_by_hand():
    # Class 0: sum w p y = 0.8, sum w p = 0.8 + 0.5 * 0.4 = 1, sum w y = 1: 1 - 1.6 / 2 = 0.2.
    # Class 1: sum w p y = 0.5 * 0.6 = 0.3, sum w p = 0.2 + 0.3 = 0.5, sum w y = 0.5: 1 - 0.6 / 1 = 0.4.
    assert dice(predict(*PREDICTED), TARGET, WEIGHT).item() == pytest.approx(0.3, rel=1e-6)


def test_dice_of_an_absent_class_contributes_nothing():
    # Only class 0 of three: overlap 0.5, predicted 0.5, present 1: 1 - 1 / 1.5 = 1/3, and 0 + 0 for the others.
    target = one_hot(torch.tensor([[[0]]]), 3)
    loss = dice(predict([0.5, 0.25, 0.25]), target, torch.ones(1, 1, 1))
    assert loss.item() == pytest.approx(1 / 9, rel=1e-6)


def test_focal_by_hand():
    # Logits (0, ln 3) are sigmoids (1/2, 3/4); label 1. Class 0 is right by q = 1/2, class 1 by q = 3/4.
    logits = torch.tensor([0.0, math.log(3)])[None, :, None, None]
    expected = 0.25 * math.log(2) + 0.0625 * math.log(4 / 3)
    loss = focal(Prediction(logits), one_hot(torch.tensor([[[1]]]), 2), torch.ones(1, 1, 1))
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_focal_on_soft_targets_is_least_at_the_target():
    target = pixels([0.8, 0.2])
    logits = torch.logit(target).requires_grad_()
    focal(Prediction(logits), target, torch.ones(1, 1, 1)).backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-7, rtol=0)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("ce", -(0.4 * math.log(0.8) + 0.6 * math.log(0.2))),
        ("kl", 0.4 * math.log(0.4 / 0.8) + 0.6 * math.log(0.6 / 0.2)),
        ("mse", 2 * 0.4**2),
    ],
)
def test_consistency_by_hand(kind, expected):
    """Student (0.8, 0.2), teacher (0.4, 0.6) at the first pixel; the second pixel has weight 0."""
    branches = {"s1": predict([0.8, 0.2], [0.1, 0.9]), "s2": predict([0.4, 0.6], [0.5, 0.5])}
    trust = {"s1": torch.tensor([[[0.0, 0.0]]]), "s2": torch.tensor([[[0.7, 0.0]]])}
    labels = torch.tensor([[[0, 1]]])
    terms = Objective("ce", kind, num_classes=2)(branches, labels, PixelWeights(prediction=trust)).terms
    assert terms["s1/loss_consistency"].item() == pytest.approx(expected, rel=1e-5)
    assert terms["s2/loss_consistency"].item() == 0


@pytest.mark.parametrize("kind", ["ce", "kl", "mse"])
def test_the_teacher_gets_no_gradient(kind):
    student, teacher = torch.randn(2, 1, 3, 2, 2).unbind()
    teacher.requires_grad_()
    student.requires_grad_()
    loss = CONSISTENCIES[kind](Prediction(student), Prediction(teacher)).sum()
    assert torch.autograd.grad(loss, teacher, allow_unused=True, retain_graph=True)[0] is None
    assert torch.autograd.grad(loss, student)[0].abs().sum() > 0


@pytest.mark.parametrize("loss", [cross_entropy, dice, focal])
def test_no_weight_no_loss_no_gradient(loss):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    value = loss(Prediction(logits), one_hot(torch.randint(0, 3, (2, 4, 4)), 3), torch.zeros(2, 4, 4))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_weighted_mean_of_tiny_weights():
    sums = weighted_sums(torch.tensor([2.0, 4.0]), torch.tensor([1e-30, 3e-30]))
    assert mean_of_sums(sums).item() == pytest.approx(3.5)


def test_class_sums_have_the_gradient_they_claim():
    probs = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    target, weight = torch.rand(2, 3, 4, 5, dtype=torch.float64), torch.rand(2, 4, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: _ClassSums.apply(p, target, weight)[:2], probs)
    overlap, predicted, present = _ClassSums.apply(probs, target, weight)
    torch.testing.assert_close(overlap, torch.einsum("bchw,bchw,bhw->c", probs, target, weight))
    torch.testing.assert_close(predicted, torch.einsum("bchw,bhw->c", probs, weight))
    torch.testing.assert_close(present, torch.einsum("bchw,bhw->c", target, weight))
