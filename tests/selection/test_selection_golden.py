"""Confidences, ramps and weights agree with the reference arrays."""

import json

import pytest
import torch

from cromss.selection import (
    CrossModalSelection,
    entangle,
    label_confidence,
    label_weights,
    prediction_confidence,
    ramp,
)
from helpers.golden import GOLDEN, golden_tensors

CONFIDENCE = {"ce": "entropy", "gini": "gini"}
NAMES = ("s1", "s2")


def facts():
    return json.loads((GOLDEN / "method.json").read_text())


def selection_cases():
    return [pytest.param(case, id=case["key"]) for case in facts()["cases"] if case["kind"] == "selection"]


@pytest.fixture(scope="module")
def arrays():
    return golden_tensors("method")


def close(actual, arrays, key):
    torch.testing.assert_close(actual, arrays[key], atol=1e-5, rtol=1e-4, msg=lambda text: f"{key}: {text}")


@pytest.mark.parametrize("case", selection_cases())
def test_confidences_and_weights(case, arrays):
    key, labels = case["key"], arrays["labels"]
    logits = {name: arrays[f"logits_{name}"] for name in NAMES}
    options = {
        "prop": case["prop"],
        "ramp": case["ramp"],
        "ramp_epochs": case["ramp_epochs"],
        "confidence": CONFIDENCE[case["confidence"]],
        "entangle": True,
    }
    per_class = CrossModalSelection(**options, class_balanced=True)(logits, labels, case["epoch"])
    overall = CrossModalSelection(**options, class_balanced=False)(logits, labels, case["epoch"])
    prediction = [prediction_confidence(logits[name], CONFIDENCE[case["confidence"]]) for name in NAMES]
    label = [label_confidence(logits[name], labels) for name in NAMES]
    for i, name in enumerate(NAMES):
        close(prediction[i], arrays, f"{key}_predconf_{name}")
        close(label[i], arrays, f"{key}_labelconf_{name}")
        close(entangle(*prediction)[i], arrays, f"{key}_predconf_x_{name}")
        close(entangle(*label)[i], arrays, f"{key}_labelconf_x_{name}")
        close(per_class.label[name], arrays, f"{key}_w_label_{name}")
        close(overall.label[name], arrays, f"{key}_w_label_global_{name}")
        close(per_class.prediction[name], arrays, f"{key}_w_pred_{name}")


@pytest.mark.parametrize("kind", ["exp", "linear"])
def test_ramps(kind):
    for epoch, values in facts()["ramps_80"].items():
        assert ramp(kind, int(epoch), 80) == pytest.approx(values[kind], abs=1e-12), epoch


def test_share_of_full_weights_is_the_share_kept(arrays):
    """Ties aside, exactly floor(n keep) pixels of every class count fully."""
    labels = arrays["labels"]
    conf = label_confidence(arrays["logits_s1"], labels)
    weights = label_weights(conf, labels, keep=0.37, num_classes=9)
    for c in range(9):
        assert (weights[labels == c] == 1).sum() == int((labels == c).sum().item() * 0.37)
