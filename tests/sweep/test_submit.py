"""Waiting for jobs, with stand-ins for them and for the queue; the real ones are in tests/slurm."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobStatus

from cromss.config import UserError
from cromss.sweep import submit
from cromss.sweep.plan import PlannedRun


class Job:
    """A job of submitit, as far as it is looked at; `after` so many looks its result is there."""

    def __init__(self, folder, job_id, after=None):
        self.job_id, self.after = job_id, after
        self.paths = SimpleNamespace(result_pickle=folder / f"{job_id}_result.pkl", stderr=folder / f"{job_id}.err")

    def task(self, number):
        assert number == 0
        return self

    def result(self):
        return SimpleNamespace(status=JobStatus.COMPLETED, _return_value=1.0)

    def tick(self):
        if self.after is not None:
            self.after -= 1
            if self.after <= 0:
                self.paths.result_pickle.touch()


@pytest.fixture
def clock(monkeypatch):
    """Every sleep is a tick: jobs come nearer to their end, and the time for a look at the queue comes."""
    state = SimpleNamespace(now=0.0, jobs=[], looks=[], queue=lambda ids: dict.fromkeys(ids, "RUNNING"))

    def sleep(seconds):
        state.now += seconds
        for job in state.jobs:
            job.tick()

    def live(ids):
        state.looks.append(state.now)
        return state.queue(ids)

    monkeypatch.setattr(submit.time, "sleep", sleep)
    monkeypatch.setattr(submit.time, "monotonic", lambda: state.now)
    monkeypatch.setattr(submit, "live_jobs", live)
    return state


def waited(clock, tmp_path, *jobs):
    clock.jobs = list(jobs)
    runs = [PlannedRun(number, [f"seed={number}"], Path("run"), True, f"seed={number}") for number in range(len(jobs))]
    return submit._wait(runs, jobs, poll_s=10)


def test_results_are_taken_as_they_come(clock, tmp_path):
    results = waited(clock, tmp_path, Job(tmp_path, "7_0", after=25), Job(tmp_path, "7_1", after=3))
    assert list(results) == [1, 0]
    assert all(result.status == JobStatus.COMPLETED for result in results.values())
    assert clock.looks == [10, 20]


def test_a_job_that_left_the_queue_without_a_result_has_died_and_its_log_says_of_what(clock, tmp_path):
    dead, good = Job(tmp_path, "7_0"), Job(tmp_path, "7_1", after=45)
    dead.paths.stderr.write_text("training\nslurmstepd: error: Detected 1 oom-kill event(s)\n")
    clock.queue = lambda ids: {"7_1": "RUNNING"}
    results = waited(clock, tmp_path, dead, good)
    assert results[0].status == JobStatus.FAILED
    assert "job 7_0 ended without a result: slurmstepd: error: Detected 1 oom-kill" in str(results[0]._return_value)
    assert results[1].status == JobStatus.COMPLETED


def test_a_queue_that_does_not_answer_or_a_job_that_is_queued_again_is_waited_for(clock, tmp_path):
    # Missed twice, but not twice in a row.
    answers = iter([{}, None, {"7_0": "RUNNING"}, {}, {"7_0": "PENDING (BeginTime)"}])
    clock.queue = lambda ids: next(answers, {"7_0": "RUNNING"})
    job = Job(tmp_path, "7_0", after=95)
    assert waited(clock, tmp_path, job)[0].status == JobStatus.COMPLETED
    assert len(clock.looks) == 9


def test_ctrl_c_leaves_the_jobs(clock, tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO")

    def press(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(submit.time, "sleep", press)
    with pytest.raises(SystemExit) as end:
        waited(clock, tmp_path, Job(tmp_path, "7_0"))
    assert end.value.code == 130
    assert "scancel 7 stops them" in caplog.text


CLUSTER = {"debug": 60.0, "long": float("inf")}


@pytest.mark.parametrize(
    ("partition", "minutes", "message"),
    [
        ("gpu", 30, "partition=gpu is unknown to this cluster: choose one of debug, long"),
        ("debug", 61, "timeout_min=61 is more than the 60 minutes that the partition debug allows"),
        (None, 61, "the partition debug allows: set hydra.launcher.timeout_min=60"),
        ("debug,long", 61, None),
        ("debug", 60, None),
    ],
)
def test_partitions_and_their_limits(monkeypatch, partition, minutes, message):
    monkeypatch.setattr(submit, "missing_commands", list)
    monkeypatch.setattr(submit, "partitions", lambda: CLUSTER)
    monkeypatch.setattr(submit, "default_partition", lambda: "debug")
    if message is None:
        submit._check_slurm(partition, minutes)
    else:
        with pytest.raises(UserError, match=message):
            submit._check_slurm(partition, minutes)


def test_a_slurm_that_does_not_answer_is_no_slurm(monkeypatch):
    monkeypatch.setattr(submit, "missing_commands", list)
    monkeypatch.setattr(submit, "partitions", lambda: None)
    with pytest.raises(UserError, match="Slurm does not answer .*hydra/launcher=slurm_local"):
        submit._check_slurm(None, 10)
