import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cromss.runs import lock
from cromss.runs.job import owner, slurm_job_of
from cromss.runs.lock import TakenError, hold, holder, submission_lock

HOLD = """
import sys, time
from pathlib import Path
from cromss.runs.lock import hold
with hold(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""
ASK = """
import sys
from pathlib import Path
from cromss.runs.lock import holder
print(holder(Path(sys.argv[1])))
"""


@pytest.fixture
def other(tmp_path):
    """Another process, which holds the folder."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_a_folder_has_one_holder_at_a_time(tmp_path, other):
    assert holder(tmp_path).startswith(f"process {other.pid} on ")
    with (
        pytest.raises(TakenError, match=rf"is being written by process {other.pid} on .*hydra.sweep.dir"),
        hold(tmp_path),
    ):
        pass


def test_the_lock_of_a_killed_holder_is_gone(tmp_path, other):
    other.kill()
    other.wait()
    assert holder(tmp_path) is None
    with hold(tmp_path):
        assert holder(tmp_path) == owner()
    assert holder(tmp_path) is None


def test_to_ask_who_holds_a_folder_keeps_nobody_from_taking_it(tmp_path):
    program = ASK.replace("print(", "while True: (")
    (tmp_path / ".lock").touch()
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)]) as asking:
        try:
            for _ in range(20):
                with hold(tmp_path):
                    time.sleep(0.01)
        finally:
            asking.kill()


def test_the_holder_itself_may_ask_and_keeps_the_lock(tmp_path):
    with hold(tmp_path):
        holder(tmp_path)
        said = subprocess.run([sys.executable, "-c", ASK, str(tmp_path)], capture_output=True, text=True, check=True)
        assert said.stdout.startswith(f"process {os.getpid()} on ")


def test_a_folder_that_is_not_there_has_no_holder(tmp_path):
    assert holder(tmp_path / "nowhere") is None


START = """
import sys, time
from pathlib import Path
from cromss.runs import lock
lock._LONGEST_END = float(sys.argv[2])
try:
    with lock.hold(Path(sys.argv[1])):
        print("holds", flush=True)
        sys.stdin.readline()
        raise ValueError("fails") if sys.argv[3] == "fails" else SystemExit(0)
except lock.TakenError as error:
    print(f"left to {error.holder}", flush=True)
"""


@pytest.fixture
def start(tmp_path):
    """Starts a process of a Slurm job of two, in the folder; it ends when told so."""
    started = []

    def call(rank, job="17", restarts=1, longest_end=60, then="leaves"):
        names = {"SLURM_JOB_ID": job, "SLURM_RESTART_COUNT": restarts, "SLURM_PROCID": rank, "SLURM_NTASKS": 2}
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(tmp_path), str(longest_end), then],
            env=os.environ | {name: str(value) for name, value in names.items()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(process)
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def say(process):
    """Lets a process go on behind what it printed; returns its exit code."""
    process.stdin.write("\n")
    process.stdin.flush()
    return process.wait(timeout=30)


def test_a_job_that_is_requeued_waits_with_all_its_processes_for_its_earlier_start_to_end(start):
    dying = start(0, restarts=0)
    assert dying.stdout.readline() == "holds\n"
    # The one that looks first sees the earlier start, and may not decide by that.
    again = [start(1), start(0)]
    time.sleep(2)
    # Its name stays in the file, as that of any killed process.
    dying.kill()
    assert [process.stdout.readline() for process in again] == ["holds\n", "holds\n"]
    assert [say(process) for process in reversed(again)] == [0, 0]


def test_all_processes_of_a_job_leave_a_folder_to_another_job(start):
    other = start(0, job="4")
    assert other.stdout.readline() == "holds\n"
    said = [process.stdout.readline() for process in [start(1), start(0)]]
    assert len(set(said)) == 1
    assert said[0].startswith("left to Slurm job 4, start 2 of ")


def test_a_further_process_does_not_outlive_the_first(start):
    first, further = start(0, longest_end=1), start(1, longest_end=1)
    assert [process.stdout.readline() for process in (first, further)] == ["holds\n", "holds\n"]
    first.kill()
    # It waits for the first one, as in a process group.
    assert further.wait(timeout=30) == 1


def test_a_further_process_that_fails_alone_tells_the_scheduler_by_its_code(start):
    first, further = start(0, longest_end=1), start(1, longest_end=1, then="fails")
    assert [process.stdout.readline() for process in (first, further)] == ["holds\n", "holds\n"]
    assert say(further) == 1
    assert say(first) == 0


def test_further_processes_do_not_wait_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_LONGEST_WAIT", 0.3)
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(ValueError, match="waited 0 s in .* for process 0"), hold(tmp_path):
        pass


def test_the_first_process_names_the_job_for_those_that_it_starts(tmp_path):
    with hold(tmp_path):
        name = owner()
        ask = "from cromss.runs.job import owner; print(owner())"
        said = subprocess.run(
            [sys.executable, "-c", ask],
            env=os.environ | {"LOCAL_RANK": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    assert said.stdout.strip() == name


@pytest.mark.skipif(os.getuid() != 0, reason="to be another user takes root")
def test_the_folder_of_another_user_is_refused_by_name():
    # Not below the tests' own folders, into which nobody else may look.
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        with hold(folder):
            pass
        code = (
            "import os, sys; from pathlib import Path; from cromss.runs.lock import hold; os.setuid(65534)\n"
            "try:\n    with hold(Path(sys.argv[1])): pass\nexcept ValueError as error: print(error)"
        )
        said = subprocess.run([sys.executable, "-c", code, place], capture_output=True, text=True, check=True)
    assert "nobody may not write" in said.stdout
    assert "created by root" in said.stdout


def test_launchers_hand_over_one_after_the_other(tmp_path):
    program = (
        "import sys; from pathlib import Path; from cromss.runs.lock import submission_lock\n"
        "with submission_lock(Path(sys.argv[1])): (Path(sys.argv[1]) / 'came').touch()"
    )
    with submission_lock(tmp_path):
        waiting = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
        time.sleep(1)
        assert not (tmp_path / "came").exists()
    assert waiting.wait(timeout=30) == 0
    assert (tmp_path / "came").exists()


def test_a_lock_names_the_task_of_an_array(monkeypatch):
    for name, value in {"SLURM_JOB_ID": "23", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    assert owner() == "Slurm job 17_3, start 1"
    assert slurm_job_of(owner()) == "17_3"
    assert slurm_job_of(f"process 4711 on {Path.cwd()}") is None
