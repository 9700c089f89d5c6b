import json
import logging

import pytest

from cromss.report.experiments import Experiment, group
from cromss.report.result_file import read_run
from cromss.report.runs import find_runs


def test_runs_are_found_at_any_depth_and_once(invent, tmp_path):
    invent("a")
    invent("sweep/b")
    found = find_runs([tmp_path / "outputs", tmp_path / "outputs" / "sweep"])
    assert [run.path.parent.name for run in found.runs] == ["a", "b"]
    assert found.unreadable == []


@pytest.mark.parametrize(
    ("freeze", "epochs", "mode"),
    [
        ("reference", None, "frozen"),
        ("frozen", None, "frozen"),
        ("none", None, "finetuned"),
        ("frozen", 20, None),
        ("reference", 20, None),
    ],
)
def test_the_mode_follows_the_freezing(invent, freeze, epochs, mode):
    assert read_run(invent("a", freeze=freeze, freeze_epochs=epochs)).mode == mode


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 99}, "format 99, and this program reads 1"),
        ({"seed": "one"}, "seed is 'one'"),
        ({"config_hash": None}, "config_hash is None"),
        ({"row": {"table": "dw"}}, "row.input is missing"),
        ({"weights": ["moco"]}, "weights.0 is 'moco'"),
        ({"tested": {}}, "tested.locations is missing"),
        ({"scores": {}}, "scores is {}"),
        ({"scores": {"s2": {"oa": 0.5, "aa": 0.5, "miou": 42.0, "mf1": 0.5}}}, "scores.s2.miou is 42.0"),
        ({"scores": {"s2": {"oa": float("nan"), "aa": 0, "miou": 0, "mf1": 0}}}, "NaN"),
        ({"scores": {"s2": {"oa": 0.5}}}, "scores.s2.aa is missing"),
        ({"scores": {"s2": 0.5}}, "scores.s2 is 0.5"),
    ],
)
def test_what_is_no_result_says_what_is_wrong(invent, changes, message):
    with pytest.raises(ValueError, match=message):
        read_run(invent("a", **changes))


@pytest.mark.parametrize("content", ['{"format": 1, "row"', "", "[1, 2]", "{}", b"\xff\xfe\x00"])
def test_a_damaged_file_is_warned_of_and_the_others_are_read(invent, tmp_path, caplog, content):
    broken = invent("broken")
    broken.write_bytes(content if isinstance(content, bytes) else content.encode())
    invent("whole")
    with caplog.at_level(logging.WARNING):
        found = find_runs([tmp_path / "outputs"])
    assert [run.path.parent.name for run in found.runs] == ["whole"]
    assert found.unreadable == [broken]
    assert str(broken) in caplog.text


def test_a_missing_field_is_named(invent):
    path = invent("a")
    found = json.loads(path.read_text())
    del found["decoder"]
    path.write_text(json.dumps(found))
    with pytest.raises(ValueError, match="decoder is missing"):
        read_run(path)


def test_an_earlier_checkpoint_is_another_experiment(invent):
    tested = {"checkpoint": "RUN/checkpoints/last.ckpt", "locations": 5128, "epochs": 50}
    runs = [
        read_run(invent("a", tested=tested)),
        read_run(invent("b", tested=tested, seed=2)),
        read_run(invent("early", tested={**tested, "checkpoint": "RUN/checkpoints/epoch-009.ckpt", "epochs": 10})),
        read_run(invent("best", tested={**tested, "checkpoint": "RUN/checkpoints/best.ckpt", "epochs": 33})),
    ]
    assert [[run.path.parent.name for run in members] for members in group(runs)] == [["a", "b"], ["early"], ["best"]]
    assert "50 epochs, tested at epoch-009.ckpt" in Experiment("E1", tuple(runs[2:3])).description()
