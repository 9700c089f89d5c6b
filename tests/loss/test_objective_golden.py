"""The total loss and its gradients agree with the reference arrays."""

import json

import pytest
import torch

from cromss.loss import Objective
from cromss.selection import CrossModalSelection, NoSelection
from cromss.smoothing import smooth_labels
from cromss.types import Prediction
from helpers.golden import GOLDEN, at_kept_pixels, golden_tensors

SEGMENTATION = {"c": "ce", "d": "dice", "f": "focal"}
CONFIDENCE = {"ce": "entropy", "gini": "gini"}


def loss_cases():
    cases = json.loads((GOLDEN / "method.json").read_text())["cases"]
    return [pytest.param(case, id=case["key"]) for case in cases if case["kind"] == "loss"]


@pytest.fixture(scope="module")
def arrays():
    return golden_tensors("method")


@pytest.mark.parametrize("case", loss_cases())
def test_total_and_gradients(case, arrays):
    logits = {name: arrays[f"logits_{name}"].clone().requires_grad_() for name in ("s1", "s2")}
    branches = {name: Prediction(branch) for name, branch in logits.items()}
    labels, factors = arrays["labels"], case["smoothing_factors"]
    target = smooth_labels(labels, arrays["prior"], factors, 9) if factors else labels
    select = NoSelection()
    if case["selection"]:
        select = CrossModalSelection(
            prop=case["prop"],
            ramp=case["ramp"],
            ramp_epochs=case["ramp_epochs"],
            confidence=CONFIDENCE[case["confidence"]],
            entangle=True,
            class_balanced=True,
        )
    objective = Objective(
        segmentation="_".join(SEGMENTATION[letter] for letter in case["losses"]),
        consistency=case["consistency"],
        consistency_weight=case["consistency_weight"],
        num_classes=9,
    )

    loss = objective(branches, target, select(branches, labels, case["epoch"]))
    loss.total.backward()

    torch.testing.assert_close(loss.total.detach(), arrays[case["key"]].float(), atol=1e-5, rtol=1e-4)
    for name, branch in logits.items():
        expected = arrays[f"{case['key']}_grad_{name}"]
        torch.testing.assert_close(at_kept_pixels(branch.grad, expected), expected, atol=1e-7, rtol=1e-3)
