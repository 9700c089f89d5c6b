"""What is found below a folder, whole or not."""

import json

import numpy as np
import pytest
import yaml

from cromss.report.metrics import choose_primary, title
from cromss.report.read import read_runs
from cromss.report.table import compared
from cromss.runs.identity import config_hash
from cromss.runs.lock import hold
from helpers.invented_runs import config, invent_run, write_metrics
from helpers.records import BEGUN


@pytest.fixture
def run(tmp_path):
    return invent_run(tmp_path / "runs" / "sweep" / "a", config())


def test_a_run_says_what_became_of_it(tmp_path, run):
    invent_run(tmp_path / "runs" / "b", config(), state="failed", error="ValueError: no such file")
    first, second = read_runs([tmp_path / "runs"]).runs
    assert (first.name, first.state, first.error) == ("b", "failed", "ValueError: no such file")
    assert (second.name, second.state, second.seed) == ("sweep/a", "done", 1)
    assert second.overridden == {"selection.prop", "fusion"}
    assert second.metrics.values["val/s2/miou"].tolist() == [0.3, 0.5, 0.4]


@pytest.mark.parametrize(("summary", "state"), [(True, "done"), (False, "unfinished")])
def test_a_run_without_a_record_is_done_when_it_has_spoken_its_last_words(run, summary, state):
    (run / "run.json").unlink()
    (run / ".hydra").mkdir()
    hydra = {"runtime": {"choices": {"fusion": "mid"}}, "overrides": {"task": ["+a.b=1", "trainer/optimizer=sgd"]}}
    (run / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    if summary:
        (run / "summary.json").write_text("{}")
    (read,) = read_runs([run.parent]).runs
    assert (read.state, read.choices) == (state, {"fusion": "mid"})
    assert read.overridden == {"a.b", "trainer.optimizer"}


def test_a_test_alone_is_a_run_and_scores_are_named_by_class(invent, tmp_path):
    scores = dict.fromkeys(("oa", "aa", "miou", "mf1"), 0.5)
    classes = {"built area": {"iou": 0.25}, "water": {"iou": None}}
    folder = invent("tested", git_commit="c0ffee").parent
    found = json.loads((folder / "results.json").read_text())
    (folder / "results.json").write_text(json.dumps(found | {"scores": {"s2": {**scores, "classes": classes}}}))
    (folder / "config.yaml").write_text(yaml.safe_dump(config()))
    (run,) = read_runs([tmp_path / "outputs"]).runs
    assert (run.state, run.commit) == ("done", "c0ffee")
    assert run.test["test/s2/miou"] == 0.5
    assert (run.test["test/s2/iou/built_area"], run.test["test/s2/iou/water"]) == (0.25, None)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.yaml", "a: [", "config.yaml: it is not YAML"),
        ("config.yaml", "seed: 1", "not the whole config of a run"),
        ("run.json", '{"format": 1, "sta', "run.json"),
        ("run.json", '{"format": 9}', "format 9"),
        ("metrics.csv", "", "names no epoch"),
        ("metrics.csv", "epoch,val/loss\n0,1\n1", "more or fewer values"),
        ("metrics.csv", "epoch,val/loss\n0,x\n", "val/loss is 'x'"),
        ("results.json", "{}", "names no format"),
    ],
)
def test_what_is_damaged_is_named_and_the_others_are_shown(tmp_path, run, file, content, message):
    invent_run(tmp_path / "runs" / "whole", config())
    (run / file).write_text(content)
    found = read_runs([tmp_path / "runs"])
    assert "whole" in [one.name for one in found.runs]
    assert len(found.runs) == (1 if file == "config.yaml" else 2)
    assert [message in problem and "sweep/a" in problem for problem in found.problems] == [True]


def test_a_run_that_has_just_begun_has_no_values(tmp_path, run):
    write_metrics(run / "metrics.csv", np.empty(0))
    (read,) = read_runs([tmp_path / "runs"]).runs
    assert len(read.metrics.epochs) == 0
    assert read.metrics.at("val/loss", read.metrics.best_row("val/loss")) is None


def test_a_run_below_two_folders_counts_once_and_checkpoints_are_not_searched(tmp_path, run):
    invent_run(run / "checkpoints" / "copy", config())
    found = read_runs([tmp_path / "runs", run.parent])
    assert [one.path for one in found.runs] == [run]


def test_without_a_folder_it_says_what_to_name(tmp_path):
    with pytest.raises(ValueError, match="is no folder"):
        read_runs([tmp_path / "nowhere"])


def results(invent, **changes):
    """The run that a `results.json` alone makes."""
    (run,) = read_runs([invent("a", **changes).parents[1]]).runs
    return run


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
    assert results(invent, freeze=freeze, freeze_epochs=epochs).mode == mode


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
def test_what_is_no_result_says_what_is_wrong(invent, tmp_path, changes, message):
    invent("a", **changes)
    found = read_runs([tmp_path / "outputs"])
    assert found.runs == []
    assert [message in problem and "a/results.json: " in problem for problem in found.problems] == [True]


@pytest.mark.parametrize("content", [b'{"format": 1, "row"', b"", b"[1, 2]", b"{}", b"\xff\xfe\x00"])
def test_a_damaged_file_is_named_and_the_others_are_read(invent, tmp_path, content):
    invent("broken").write_bytes(content)
    invent("sweep/whole")
    found = read_runs([tmp_path / "outputs", tmp_path / "outputs" / "sweep"])
    assert [run.path.name for run in found.runs] == ["whole"]
    assert ["outputs/broken/results.json: it" in problem for problem in found.problems] == [True]


def test_an_earlier_checkpoint_and_a_part_of_the_test_set_are_other_experiments(invent, tmp_path):
    whole = {"checkpoint": "RUN/checkpoints/last.ckpt", "locations": 5128, "epochs": 50}
    invent("a", tested=whole)
    invent("b", tested=whole, seed=2)
    invent("early", tested={**whole, "checkpoint": "RUN/checkpoints/epoch-009.ckpt", "epochs": 10})
    invent("best", tested={**whole, "checkpoint": "RUN/checkpoints/best.ckpt", "epochs": 33})
    invent("part", tested={**whole, "evaluate": "centre", "pixels": 1, "labelled": 2})
    found = compared(read_runs([tmp_path / "outputs"])).experiments
    assert {tuple(run.name for run in one.runs) for one in found} == {("a", "b"), ("early",), ("best",), ("part",)}
    (early,) = [one for one in found if one.runs[0].name == "early"]
    assert "50 epochs, tested at epoch-009.ckpt" in early.description()


def test_a_training_and_its_test_are_one_experiment(tmp_path, invent):
    run = invent_run(tmp_path / "outputs" / "trained", config(), curve=[0.4])
    hash_ = config_hash(config())
    invent("tested", 60, branches=("s1", "s2"), config_hash=hash_, weights=[])
    early = {"checkpoint": "RUN/checkpoints/epoch-009.ckpt", "locations": 5128, "epochs": 10}
    invent("early", 50, branches=("s1", "s2"), config_hash=hash_, weights=[], tested=early)
    one, other = sorted(compared(read_runs([run.parent])).experiments, key=lambda one: -len(one.runs))
    assert {run.name for run in one.runs} == {"trained", "tested"}
    assert (one.mean("val/s2/miou").mean, one.mean("test/s2/miou").mean) == (0.4, 0.6)
    assert one.repeated() == {}
    assert [run.name for run in other.runs] == ["early"]


def test_a_folder_without_settings_says_so(tmp_path, run):
    (run / "config.yaml").unlink()
    assert read_runs([tmp_path]).problems == ["runs/sweep/a: it has no config.yaml"]


NAMES = ["val/loss", "val/common/miou", "val/s1/miou", "val/s2/miou", "test/s2/miou"]


@pytest.mark.parametrize(
    ("names", "monitors", "primary"),
    [
        (NAMES, {"val/s1/miou"}, "val/s1/miou"),  # all watched it
        (NAMES, {"val/s1/miou", "val/loss"}, "val/s2/miou"),
        (NAMES, {"val/loss"}, "val/s2/miou"),  # a loss is no score
        (["test/fused/miou", "test/s1/miou"], {"val/loss"}, "test/s1/miou"),
        (["train/loss"], {"train/loss"}, "train/loss"),
        ([], {"val/loss"}, None),
    ],
)
def test_runs_are_ordered_by_what_they_watched_or_the_last_branch(names, monitors, primary):
    assert choose_primary(names, monitors) == primary


def test_metrics_have_titles():
    assert title("val/s2/miou_true") == "val s2 mIoU (truth)"
    assert title("train/loss") == "train loss"


def test_a_killed_run_is_not_shown_as_running(run, tmp_path):
    # It says that it runs for as long as nobody corrects it; nobody holds its folder any more.
    BEGUN.model_copy(update={"job": "process 1 on node1"}).save(run)
    (found,) = read_runs([tmp_path]).runs
    assert found.state == "interrupted"
    with hold(run):
        (found,) = read_runs([tmp_path]).runs
        assert found.state == "running"
