import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from cromss.runs import lock, state
from cromss.runs.lock import hold, running_slurm_job
from cromss.runs.names import RECORD
from cromss.runs.record import read_record
from cromss.runs.state import states_of
from cromss.runs.submitted import Submitted
from helpers.records import BEGUN


@pytest.fixture
def queue(monkeypatch):
    """Jobs that Slurm has not ended; None for a Slurm that does not answer."""
    jobs = {}

    def answer(ids):
        return None if jobs.get("answers") is False else {job: text for job, text in jobs.items() if job in ids}

    monkeypatch.setattr(state, "live_jobs", answer)
    monkeypatch.setattr(lock, "live_jobs", answer)
    return jobs


def of(folder):
    (found,) = states_of([folder])
    return found.state, found.detail


def handed_over(folder, words="", **changes):
    log = folder.with_suffix(".err")
    log.write_text(words)
    Submitted(**{"job": "17_0", "host": platform.node(), "is_slurm": True, "log": str(log)} | changes).save(folder)


def test_what_nobody_began_is_missing(tmp_path, queue):
    assert of(tmp_path / "nowhere") == ("missing", "")


def test_a_finished_run_shows_its_score(tmp_path, queue):
    BEGUN.ended_as("done", 0.51234567).save(tmp_path)
    assert of(tmp_path) == ("done", "val/loss 0.5123")
    BEGUN.ended_as("done", float("nan")).save(tmp_path)
    assert of(tmp_path) == ("done", "val/loss nan")


def test_a_failed_run_shows_the_last_line_of_its_error(tmp_path, queue):
    BEGUN.ended_as("failed", error="one\n  two \n").save(tmp_path)
    assert of(tmp_path) == ("failed", "two")


def test_a_job_in_the_queue_is_queued_and_then_runs(tmp_path, queue):
    run = tmp_path / "run"
    handed_over(run)
    queue["17_0"] = "PENDING (Resources)"
    assert of(run) == ("queued", "Slurm job 17_0 PENDING (Resources)")
    queue["17_0"] = "RUNNING"
    assert of(run) == ("running", "Slurm job 17_0 RUNNING")
    # Ended and queued again: its record still says that it runs.
    BEGUN.save(run)
    queue["17_0"] = "PENDING (BeginTime)"
    assert of(run) == ("queued", "Slurm job 17_0 PENDING (BeginTime)")


def test_a_job_that_is_gone_was_interrupted_and_its_log_says_why(tmp_path, queue):
    run = tmp_path / "run"
    handed_over(run, words="training\nslurmstepd: error: Detected 1 oom-kill event(s)\n")
    assert of(run) == ("interrupted", "slurmstepd: error: Detected 1 oom-kill event(s)")
    BEGUN.save(run)
    assert of(run) == ("interrupted", "slurmstepd: error: Detected 1 oom-kill event(s)")
    BEGUN.ended_as("preempted").save(run)
    assert of(run) == ("interrupted", "preempted")


def test_where_slurm_does_not_answer_nothing_is_claimed(tmp_path, queue):
    handed_over(tmp_path / "run")
    queue["answers"] = False
    (found,) = states_of([tmp_path / "run"])
    assert found.state == "unknown"
    assert found.is_under_way


def test_the_job_that_asks_is_not_in_its_own_way(tmp_path, queue, monkeypatch):
    # A run that was killed in an interactive job, where the same command is typed again.
    BEGUN.save(tmp_path)
    queue["17_0"] = "RUNNING"
    assert of(tmp_path)[0] == "running"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    assert of(tmp_path) == ("interrupted", "killed")


def test_who_holds_the_folder_runs_whatever_the_record_says(tmp_path, queue):
    BEGUN.ended_as("failed", error="before").save(tmp_path)
    with hold(tmp_path):
        assert of(tmp_path) == ("running", f"process {os.getpid()} on {platform.node()}")
    assert of(tmp_path)[0] == "failed"


def test_a_process_that_was_just_started_is_queued_until_it_is_gone(tmp_path, queue):
    run = tmp_path / "run"
    # The name that a local launcher's processes have in their command line.
    starting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "submitit"])
    try:
        handed_over(run, job=str(starting.pid), is_slurm=False)
        while b"submitit" not in Path(f"/proc/{starting.pid}/cmdline").read_bytes():
            pass
        assert of(run) == ("queued", f"process {starting.pid}")
    finally:
        starting.kill()
        starting.wait()
    assert of(run) == ("interrupted", "")
    # The same number on another host says nothing, nor does this test's own, which is another program.
    handed_over(run, job=str(os.getpid()), is_slurm=False)
    assert of(run)[0] == "interrupted"


def test_a_damaged_record_is_warned_of_and_counts_as_interrupted(tmp_path, queue, caplog):
    BEGUN.save(tmp_path)
    (tmp_path / RECORD).write_text((tmp_path / RECORD).read_text()[:40])
    handed_over(tmp_path)
    assert of(tmp_path) == ("interrupted", "")
    assert "run.json cannot be read" in caplog.text
    (tmp_path / RECORD).write_text(json.dumps({"format": 99}))
    assert read_record(tmp_path) is None
    assert "format 99" in caplog.text


def test_a_job_elsewhere_is_found_by_its_record_where_locks_do_not_reach(tmp_path, queue):
    assert running_slurm_job(tmp_path) is None
    BEGUN.save(tmp_path)
    assert running_slurm_job(tmp_path) is None
    queue["17_0"] = "RUNNING"
    assert running_slurm_job(tmp_path) == "Slurm job 17_0, start 1"
