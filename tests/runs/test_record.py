import math

import pytest

from cromss.runs.names import RECORD
from cromss.runs.record import finished_record, identity, new_record, read_record
from cromss.runs.recording import recorded
from helpers.records import BEGUN

CONFIG = {
    "seed": 1,
    "trainer": {"epochs": 3, "monitor": "val/loss", "test_only": False, "checkpoint": None},
    "selection": {"prop": 0.5},
    "dataset": {"path": "here"},
}


def changed(**changes):
    return CONFIG | {group: CONFIG[group] | settings for group, settings in changes.items()}


def begun(folder, config=CONFIG):
    return new_record(folder, config, overrides=["seed=1"], choices={"fusion": "mid"})


def test_a_run_that_ends_well_leaves_its_score(tmp_path):
    with recorded(begun(tmp_path), tmp_path) as recording:
        assert read_record(tmp_path).state == "running"
        recording.score = 0.25
    record = read_record(tmp_path)
    assert (record.state, record.score, record.error) == ("done", 0.25, None)
    assert record.ended >= record.started


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (ValueError("first\n  the cure"), "failed", "the cure"),
        (RuntimeError(), "failed", "RuntimeError"),
        (KeyboardInterrupt(), "stopped", None),
        (SystemExit(130), "stopped", None),
        (SystemExit(143), "preempted", None),
        (SystemExit(-1), "preempted", None),
    ],
)
def test_how_a_run_ended_is_distinguished(tmp_path, error, state, said):
    with pytest.raises(type(error)), recorded(begun(tmp_path), tmp_path):
        raise error
    record = read_record(tmp_path)
    assert (record.state, record.error, record.score) == (state, said, None)


def diverge(recording):
    recording.mark_begun()
    raise ValueError("diverged")


def test_a_run_that_is_refused_leaves_the_record_of_a_finished_one(tmp_path):
    with recorded(begun(tmp_path), tmp_path) as recording:
        recording.score = 0.25
    with pytest.raises(ValueError, match="other settings"), recorded(begun(tmp_path), tmp_path):
        raise ValueError("other settings")
    assert read_record(tmp_path).state == "done"
    # Once it has begun to change what is there, the folder is no finished run any more.
    with pytest.raises(ValueError, match="diverged"), recorded(begun(tmp_path), tmp_path) as recording:
        diverge(recording)
    assert read_record(tmp_path).state == "failed"


def test_further_processes_leave_the_record_to_the_first(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with recorded(begun(tmp_path), tmp_path):
        pass
    assert not (tmp_path / RECORD).exists()


def test_a_finished_run_answers_for_the_same_settings_alone(tmp_path):
    assert finished_record(tmp_path, CONFIG) is None
    with recorded(begun(tmp_path), tmp_path) as recording:
        recording.score = math.pi
    assert finished_record(tmp_path, CONFIG).score == math.pi
    assert finished_record(tmp_path, changed(dataset={"path": "moved"})).score == math.pi
    for other in (
        changed(selection={"prop": 0.3}),
        changed(trainer={"epochs": 4}),
        changed(trainer={"checkpoint": "other.ckpt"}),
        {**CONFIG, "seed": 2},
    ):
        assert finished_record(tmp_path, other) is None


def test_more_epochs_are_the_same_run(tmp_path):
    assert identity(CONFIG) == identity(changed(trainer={"epochs": 4}))
    assert identity(CONFIG) != identity({**CONFIG, "seed": 2})


def test_an_interrupted_run_is_not_finished(tmp_path):
    BEGUN.model_copy(update={"identity": identity(CONFIG)}).save(tmp_path)
    assert finished_record(tmp_path, CONFIG) is None
