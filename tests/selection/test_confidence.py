"""Confidences on cases that can be worked by hand."""

import math

import pytest
import torch

from cromss.selection import entangle, label_confidence, prediction_confidence
from cromss.types import Prediction


def pixels(*probabilities):
    """Logits ``(1, C, 1, N)`` of the given distributions."""
    return torch.tensor(probabilities).log().T[None, :, None]


def test_entropy_confidence_by_hand():
    # uniform: H = ln 4, confidence 0.  (1/2, 1/2, 0, 0): H = ln 2 = ln 4 / 2, confidence 1/2.  certain: H = 0.
    conf = prediction_confidence(pixels([0.25] * 4, [0.5, 0.5, 1e-30, 1e-30], [1.0, 1e-30, 1e-30, 1e-30]))
    torch.testing.assert_close(conf, torch.tensor([[[0.0, 0.5, 1.0]]]), atol=1e-6, rtol=0)


def test_gini_confidence_by_hand():
    # 4 (1/4)^2 = 1/4.  (1/2)^2 + (1/2)^2 = 1/2.
    conf = prediction_confidence(pixels([0.25] * 4, [0.5, 0.5, 1e-30, 1e-30]), kind="gini")
    torch.testing.assert_close(conf, torch.tensor([[[0.25, 0.5]]]))


def test_label_confidence_is_the_probability_of_the_label():
    logits = pixels([0.1, 0.9], [0.3, 0.7], [0.5, 0.5])
    conf = label_confidence(logits, torch.tensor([[[1, 0, 255]]], dtype=torch.uint8))
    torch.testing.assert_close(conf, torch.tensor([[[0.9, 0.3, 0.0]]]))


def test_entangling_by_hand():
    # a = 0.8, b = 0.5: ab = 0.4, (0.8 + 0.4) / 2 = 0.6, (0.5 + 0.4) / 2 = 0.45.
    a, b = entangle(torch.tensor([[[0.8]]]), torch.tensor([[[0.5]]]))
    assert a.item() == pytest.approx(0.6)
    assert b.item() == pytest.approx(0.45)


@pytest.mark.parametrize("kind", ["entropy", "gini"])
def test_not_a_number_counts_as_no_confidence(kind):
    logits = torch.full((1, 3, 1, 1), math.nan)
    assert prediction_confidence(logits, kind).item() == 0
    assert label_confidence(logits, torch.zeros(1, 1, 1, dtype=torch.long)).item() == 0


@pytest.mark.parametrize("kind", ["entropy", "gini"])
def test_probability_zero_is_certain(kind):
    """exp(-1e4) is 0 in float32, and 0 log 0 must count as 0."""
    assert prediction_confidence(torch.tensor([0.0, -1e4])[None, :, None, None], kind).item() == 1


def test_float32_without_gradient_under_autocast():
    logits = torch.randn(2, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    labels = torch.zeros(2, 4, 4, dtype=torch.long)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for conf in (prediction_confidence(logits), label_confidence(logits, labels)):
            assert conf.dtype == torch.float32
            assert not conf.requires_grad


def test_a_judged_prediction_still_teaches():
    """Reading confidences first must not cut the shared softmax off from its gradient."""
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    prediction = Prediction(logits)
    prediction_confidence(prediction)
    prediction.log_probs[:, 0].sum().backward()
    assert logits.grad.abs().sum() > 0


def test_unknown_kind_names_the_choices():
    with pytest.raises(ValueError, match="confidence=margin.*entropy, gini"):
        prediction_confidence(torch.randn(1, 2, 1, 1), "margin")
