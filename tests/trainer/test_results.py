import copy
import subprocess

import numpy as np
import pytest
import torch

from cromss.io.package_data import config_dir, git_commit
from cromss.plotting import draw_confusion
from cromss.runs.identity import config_hash
from cromss.trainer.metrics import SegmentationScores
from cromss.trainer.results import results, scored_part, scores_of, table

CLASSES = ["water", "trees", "snow & ice"]


@pytest.fixture
def scores():
    """Labels 0 0 0 1 and one ignored, predictions 0 0 1 1: class 2 is in neither."""
    metric = SegmentationScores(3)
    metric.update(torch.tensor([[[0, 0, 1, 1, 2]]]), torch.tensor([[[0, 0, 0, 1, 255]]]))
    return {"s2": scores_of(metric, CLASSES)}


def test_scores_are_plain_numbers_and_absent_classes_are_named(scores):
    found = scores["s2"]
    assert found["oa"] == 0.75
    assert found["aa"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-6)
    assert found["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2, abs=1e-6)
    assert found["classes"]["water"] == {"iou": 0.666667, "f1": 0.8, "precision": 1.0, "recall": 0.666667, "pixels": 3}
    assert found["classes"]["snow & ice"] == dict.fromkeys(("iou", "f1", "precision", "recall")) | {"pixels": 0}
    assert found["absent"] == ["snow & ice"]
    assert found["confusion"] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_the_table_says_which_classes_were_left_out(scores):
    lines = table(scores, scored_part(scores, 4, 1, "whole", 0, 1)).splitlines()
    assert lines[0].split() == ["test", "s2"]
    assert lines[1].split() == ["overall", "accuracy", "0.750"]
    assert [line.split()[1:] for line in lines[5:7]] == [["water", "0.667"], ["trees", "0.500"]]
    assert lines[7].strip() == "not in the labels, left out of the means: snow & ice"
    assert lines[8].strip() == "scored: all 4 labelled pixels, 1 have no label"


def test_the_table_says_how_many_pixels_were_not_scored(scores):
    part = scored_part(scores, labelled=16, ignored=2, evaluate="centre", season=1, seasons=4)
    assert part == {
        "evaluate": "centre",
        "season": 1,
        "seasons": 4,
        "pixels": 4,
        "labelled": 16,
        "ignored": 2,
        "share": 0.25,
    }
    said = table(scores, part).splitlines()[-1]
    assert "4 of 16 labelled pixels (25.0%), dataset.evaluate=centre; season 1 of 0 to 3" in said


def test_the_picture_shows_a_matrix_a_branch_with_shares_of_the_labels(scores):
    figure = draw_confusion(scores | {"fused": scores["s2"]})
    titles = [axis.get_title() for axis in figure.axes if axis.get_title()]
    assert titles == ["s2: OA 75.0%, mIoU 58.3%", "fused: OA 75.0%, mIoU 58.3%"]
    shares = np.asarray(figure.axes[0].get_images()[0].get_array().filled(np.nan))
    np.testing.assert_allclose(shares, [[2 / 3, 1 / 3, 0], [0, 1, 0], [np.nan] * 3])
    assert [text.get_text() for text in figure.axes[0].texts] == ["67%", "33%", "100%"]


CONFIG = {
    "row": None,
    "seed": 1,
    "dataset": {"bands": 13, "train_samples": None, "test_path": "a"},
    "backbone": {"encoder": "resnet50", "decoder": "unet", "freeze": "none", "freeze_epochs": None},
    "fusion": {"modality": "s2"},
    "trainer": {"epochs": 50, "workers": 4, "optimizer": {"lr": 5e-4}},
}


def changed(key, value):
    config = copy.deepcopy(CONFIG)
    *parents, name = key.split(".")
    node = config
    for parent in parents:
        node = node[parent]
    node[name] = value
    return config


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2),
        ("dataset.test_path", "b"),
        ("backbone.weights_path", {"s1": "a", "s2": "b"}),
        ("weights_folder", "elsewhere"),
        ("trainer.workers", 0),
    ],
)
def test_seeds_paths_and_hardware_do_not_make_another_experiment(key, value):
    assert config_hash(changed(key, value)) == config_hash(CONFIG)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dataset.evaluate", "centre"),
        ("trainer.optimizer.lr", 1e-3),
        ("dataset.train_samples", 10),
        ("backbone.freeze", "frozen"),
    ],
)
def test_every_other_setting_does(key, value):
    assert config_hash(changed(key, value)) != config_hash(CONFIG)


def test_results_say_what_was_run(scores):
    found = results(CONFIG, {"dataset": "dfc2020", "fusion": "single"}, scores, [{"origin": "moco"}], {"locations": 4})
    assert found["dataset"] == "dfc2020"
    assert (found["input"], found["bands"], found["backbone"], found["decoder"]) == ("s2", 13, "resnet50", "unet")
    assert found["weights"] == [{"origin": "moco"}]
    assert found["tested"] == {"locations": 4}
    assert results(changed("fusion", {}), {"dataset": "dw", "fusion": "mid"}, scores, [], {})["input"] == "s1+s2"


def test_the_commit_is_that_of_the_checkout():
    folder = config_dir().parent
    if not (folder / ".git").exists():
        assert git_commit() is None
        return
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True)
    assert str(git_commit()).removesuffix("+changes") == head.stdout.strip()
