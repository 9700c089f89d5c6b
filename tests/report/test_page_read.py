"""What is found below a folder, whole or not."""

import json
import logging

import numpy as np
import pytest
import yaml

from cromss.report.page.metrics import choose_primary, title
from cromss.report.page.read import read_runs
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
        ("config.yaml", "a: [", "config.yaml is damaged"),
        ("config.yaml", "seed: 1", "not the whole config of a run"),
        ("run.json", '{"format": 1, "sta', "run.json"),
        ("run.json", '{"format": 9}', "format 9"),
        ("metrics.csv", "", "names no epoch"),
        ("metrics.csv", "epoch,val/loss\n0,1\n1", "more or fewer values"),
        ("metrics.csv", "epoch,val/loss\n0,x\n", "val/loss is 'x'"),
        ("results.json", "{}", "names no format"),
    ],
)
def test_what_is_damaged_is_named_and_the_others_are_shown(tmp_path, run, caplog, file, content, message):
    invent_run(tmp_path / "runs" / "whole", config())
    (run / file).write_text(content)
    with caplog.at_level(logging.WARNING):
        found = read_runs([tmp_path / "runs"])
    assert "whole" in [one.name for one in found.runs]
    assert len(found.runs) == (1 if file == "config.yaml" else 2)
    assert [message in problem and "sweep/a" in problem for problem in found.problems] == [True]
    assert message in caplog.text


def test_a_run_that_has_just_begun_has_no_values(tmp_path, run):
    write_metrics(run / "metrics.csv", np.empty(0))
    (read,) = read_runs([tmp_path / "runs"]).runs
    assert len(read.metrics.epochs) == 0
    assert read.metrics.at("val/loss", read.metrics.best_row("val/loss")) is None


def test_a_run_below_two_folders_counts_once_and_checkpoints_are_not_searched(tmp_path, run):
    invent_run(run / "checkpoints" / "copy", config())
    found = read_runs([tmp_path / "runs", run.parent])
    assert [one.path for one in found.runs] == [run]


def test_without_runs_it_says_what_to_name(tmp_path):
    with pytest.raises(ValueError, match=r"no runs below .* such as runs=outputs"):
        read_runs([tmp_path])
    with pytest.raises(ValueError, match="is no folder"):
        read_runs([tmp_path / "nowhere"])


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
