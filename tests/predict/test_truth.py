"""Maps are scored by exact labels."""

import json
from contextlib import nullcontext

import numpy as np
import pytest
import rasterio

from cromss.dataset.geotiff import header_of, opened
from cromss.predict.truth import open_truth, summary
from helpers.scenes import pixels, trained, write_scene

CLASSES = ("water", "trees", "grass")


def truth_of(tmp_path, labels, **named):
    return write_scene(tmp_path / "truth.tif", np.asarray(labels)[None], **named)


def test_scores_by_hand(tmp_path):
    path = truth_of(tmp_path, np.array([[0, 0, 1, 1], [1, 255, 7, 0]], np.uint8), nodata=7)
    with opened(path) as source:
        grid = header_of(source)
    with open_truth(path, grid, CLASSES) as truth:
        # In two blocks. Of seven labels one is nodata; one pixel of the map is unknown.
        truth.add(0, 0, np.array([[0, 1, 1]], np.uint8))
        truth.add(0, 3, np.array([[1], [255]], np.uint8))
        truth.add(1, 0, np.array([[1, 1, 1]], np.uint8))
        found = truth.results()
    # Water: labels 2, of which 1 is right; trees: labels 3, all right, and 1 more predicted; grass: no label.
    assert found["pixels"] == 5
    assert found["pixels_left_out"] == 3
    assert found["oa"] == pytest.approx(4 / 5)
    assert found["iou"] == {"water": pytest.approx(1 / 2), "trees": pytest.approx(3 / 4), "grass": None}
    assert found["miou"] == pytest.approx(5 / 8)
    assert summary(found) == "OA 80.0%, mIoU 62.5% over 5 pixels, 3 without a label or a class"


def test_the_command_line_writes_the_scores_of_the_map(predict, tmp_path, capfd):
    trained(tmp_path / "net.ckpt")
    write_scene(tmp_path / "s2.tif", pixels("s2", 100, 150))
    labels = np.random.default_rng(0).integers(0, 9, (100, 150)).astype(np.uint8)
    labels[:20] = 255
    truth_of(tmp_path, labels)
    typed = ("checkpoint=net.ckpt", "s2=s2.tif", "s2_offset=0", "truth=truth.tif", "out=map.tif", "window=64")
    predict(*typed)
    with rasterio.open("map.tif") as source:
        classes = source.read(1)
    scores = json.loads((tmp_path / "map_scores.json").read_text())
    assert (scores["pixels"], scores["pixels_left_out"]) == (80 * 150, 20 * 150)
    assert scores["oa"] == pytest.approx((classes == labels)[20:].mean())
    one = (classes == 3)[20:], (labels == 3)[20:]
    assert scores["iou"]["flooded vegetation"] == pytest.approx((one[0] & one[1]).sum() / (one[0] | one[1]).sum())
    assert "12,000 pixels" in capfd.readouterr().out
    assert sorted(path.name for path in tmp_path.glob("map*")) == ["map.tif", "map.tif.aux.xml", "map_scores.json"]
    with pytest.raises(SystemExit):
        predict(*typed)
    assert "exists" in capfd.readouterr().err
    before = (tmp_path / "map_scores.json").read_bytes()
    predict(*typed, "overwrite=true", "batch_size=1")
    assert (tmp_path / "map_scores.json").read_bytes() == before


@pytest.mark.parametrize(
    ("labels", "named", "words"),
    [
        (np.zeros((2, 5), np.uint8), {}, "another size"),
        (np.zeros((2, 4), np.uint8), {"crs": "EPSG:32633"}, "another CRS"),
        (np.zeros((2, 4), np.uint8), {"corner": (400_005, 5_300_000)}, "another transform"),
        (np.full((2, 4), 3, np.uint8), {}, r"values \[3\]"),
        (np.full((2, 4), -1, np.int16), {}, r"values \[-1\]"),
        (np.full((2, 4), 0.5, np.float32), {}, "whole numbers"),
        (np.zeros((2, 4), np.uint8), {"tags": {"CLASS_1": "crops"}}, "class 1 crops, and the network trees"),
        (np.zeros((2, 4), np.uint8), {"tags": {"CLASS_1": "trees"}}, None),
        (np.full((2, 4), 255, np.uint8), {}, None),
    ],
)
def test_labels_that_do_not_fit_the_scene_are_refused(tmp_path, labels, named, words):
    with opened(write_scene(tmp_path / "scene.tif", np.zeros((1, 2, 4), np.uint8))) as source:
        grid = header_of(source)
    path = truth_of(tmp_path, labels, **named)
    with nullcontext() if words is None else pytest.raises(ValueError, match=words), open_truth(path, grid, CLASSES):
        pass


def test_labels_without_a_value_score_nothing(tmp_path):
    path = truth_of(tmp_path, np.full((2, 4), 255, np.uint8))
    with opened(path) as source, open_truth(path, header_of(source), CLASSES) as truth:
        truth.add(0, 0, np.zeros((2, 4), np.uint8))
        found = truth.results()
    assert (found["pixels"], found["oa"], found["miou"]) == (0, None, None)
    assert summary(found) == "no pixel of the map has a label"


def test_the_truth_is_not_written_over(predict, tmp_path, capfd):
    trained(tmp_path / "net.ckpt")
    write_scene(tmp_path / "s2.tif", pixels("s2", 64, 64))
    truth_of(tmp_path, np.zeros((64, 64), np.uint8))
    with pytest.raises(SystemExit):
        predict("checkpoint=net.ckpt", "s2=s2.tif", "s2_offset=0", "truth=truth.tif", "out=truth.tif", "overwrite=true")
    assert "would write over" in capfd.readouterr().err
