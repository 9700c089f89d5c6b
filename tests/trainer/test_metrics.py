import math

import numpy as np
import pytest
import torch

from cromss.trainer.metrics import SegmentationScores, SelectionQuality, WeightedMean
from helpers.golden import golden_arrays


def scores_of(predicted, labels, classes):
    metric = SegmentationScores(classes)
    metric.update(torch.as_tensor(predicted), torch.as_tensor(labels))
    return metric.compute()


def test_agrees_with_the_reference():
    golden = golden_arrays("metrics")
    scores = scores_of(golden["pred"], golden["labels"], 9)
    for ours, theirs, mean in (
        ("iou", "iou", "miou"),
        ("f1", "f1", "mf1"),
        ("precision", "precise", None),
        ("recall", "recall", "aa"),
    ):
        np.testing.assert_allclose(scores[ours], golden[theirs][:9], atol=1e-5, rtol=1e-4)
        if mean:
            np.testing.assert_allclose(scores[mean], golden[theirs][9], atol=1e-5, rtol=1e-4)
    np.testing.assert_allclose(scores["oa"], golden["oa"], atol=1e-5, rtol=1e-4)


def test_by_hand():
    # Labels 0 0 1 1 and one ignored; predictions 0 1 1 1. Class 0: TP 1, FN 1, FP 0. Class 1: TP 2, FN 0, FP 1.
    scores = scores_of([[[0, 1, 1, 1, 0]]], [[[0, 0, 1, 1, 255]]], 2)
    expected = {
        "oa": 3 / 4,
        "aa": (1 / 2 + 1) / 2,
        "miou": (1 / 2 + 2 / 3) / 2,
        "mf1": (2 / 3 + 4 / 5) / 2,
        "iou": [1 / 2, 2 / 3],
        "f1": [2 / 3, 4 / 5],
        "precision": [1, 2 / 3],
        "recall": [1 / 2, 1],
        "confusion": [[1, 1], [0, 2]],
    }
    assert scores.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(scores[name], torch.tensor(value))


def test_a_class_without_labels_is_left_out_of_the_means():
    # Class 1 is predicted once but never labelled, class 2 neither. Class 0: TP 3, FN 1, FP 0.
    scores = scores_of([[[0, 0, 0, 1]]], [[[0, 0, 0, 0]]], 3)
    for name, value in (("iou", 0.75), ("recall", 0.75), ("precision", 1.0), ("f1", 6 / 7)):
        torch.testing.assert_close(scores[name], torch.tensor([value, torch.nan, torch.nan]), equal_nan=True)
    for name, value in (("oa", 0.75), ("aa", 0.75), ("miou", 0.75), ("mf1", 6 / 7)):
        assert scores[name].item() == pytest.approx(value)


def test_a_class_that_is_never_predicted_scores_0():
    scores = scores_of([[[0, 0]]], [[[0, 1]]], 2)
    for name in ("iou", "f1", "precision", "recall"):
        assert scores[name][1] == 0
    assert scores["miou"].item() == pytest.approx(0.25)  # (1/2 + 0) / 2


def test_nothing_labelled_has_no_score():
    scores = scores_of([[[0, 1]]], [[[255, 255]]], 2)
    assert scores.pop("confusion").sum() == 0
    assert all(score.isnan().all() for score in scores.values())


def test_dtypes_and_batches_add_up():
    generator = torch.Generator().manual_seed(0)
    predicted = torch.randint(0, 4, (6, 8, 8), generator=generator)
    labels = torch.randint(0, 4, (6, 8, 8), generator=generator)
    labels[:, :2] = 255
    whole, parts = SegmentationScores(4), SegmentationScores(4)
    whole.update(predicted, labels)
    parts.update(predicted[:1].int(), labels[:1].to(torch.uint8))
    parts.update(predicted[1:], labels[1:])
    assert torch.equal(whole.confusion, parts.confusion)
    assert whole.confusion.sum() == 6 * 6 * 8
    parts.reset()
    assert not parts.confusion.any()


@pytest.mark.parametrize("metric", [SegmentationScores(3), SelectionQuality(), WeightedMean()])
def test_processes_add_their_counts(metric):
    # What torchmetrics applies to the gathered states of all processes.
    for state, reduction in metric._reductions.items():
        gathered = torch.stack([getattr(metric, state) + 1, getattr(metric, state) + 2])
        assert torch.equal(reduction(gathered), getattr(metric, state) * 2 + 3)


def test_selection_quality_by_hand():
    # Six pixels: the fifth has no label, the sixth no truth. Of the four others the second and third are wrong;
    # selected (weight 1) are the first and third.
    quality = SelectionQuality()
    quality.update(
        torch.tensor([[[1.0, 0.9, 1 - 1e-8, 0.2, 1.0, 1.0]]]),
        torch.tensor([[[0, 1, 2, 3, 255, 1]]]),
        torch.tensor([[[0, 0, 0, 3, 0, 255]]]),
    )
    values = quality.compute()
    assert values["wrong_all"].item() == pytest.approx(2 / 4)
    assert values["wrong_selected"].item() == pytest.approx(1 / 2)
    assert values["selected"].item() == pytest.approx(2 / 4)
    quality.update(torch.ones(1, 1, 4), torch.zeros(1, 1, 4).long(), torch.zeros(1, 1, 4).long())
    values = quality.compute()
    assert values["wrong_all"].item() == pytest.approx(2 / 8)
    assert values["wrong_selected"].item() == pytest.approx(1 / 6)


def test_an_empty_selection_has_no_share_of_wrong_labels():
    quality = SelectionQuality()
    quality.update(torch.zeros(1, 2, 2), torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 2).long())
    values = quality.compute()
    assert math.isnan(values["wrong_selected"])
    assert values["selected"] == 0


def test_weighted_mean_by_hand():
    # (2 * 3 + 5 * 1 + 9 * 0) / 4 = 2.75
    mean = WeightedMean()
    for value, weight in ((2.0, 3), (5.0, 1), (9.0, 0)):
        mean.update(torch.tensor(value), torch.tensor(weight))
    assert mean.compute().item() == pytest.approx(2.75)
    empty = WeightedMean()
    empty.update(torch.tensor(1.0), torch.tensor(0))
    assert math.isnan(empty.compute())
