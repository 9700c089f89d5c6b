"""What Slurm's commands say, by stand-ins that say it."""

import math
import os

import pytest

from cromss.runs import slurm
from cromss.runs.slurm import default_partition, live_jobs, minutes, missing_commands, partitions


@pytest.fixture
def command(tmp_path, monkeypatch):
    """Makes a command that prints a text and ends with a code."""
    slurm._is_installed.cache_clear()
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")

    def make(name, text, code=0):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
        path.chmod(0o755)

    yield make
    slurm._is_installed.cache_clear()


def test_jobs_that_have_not_ended_are_reported_with_their_state(command):
    command(
        "squeue",
        "17_3|RUNNING|None\n17_4|PENDING|Priority\n18|PENDING|Nodes required for job are DOWN|odd\n9|RUNNING|None",
    )
    assert live_jobs(["17_3", "17_4", "18", "99"]) == {
        "17_3": "RUNNING",
        "17_4": "PENDING (Priority)",
        "18": "PENDING (Nodes required for job are DOWN|odd)",
    }
    assert live_jobs([]) == {}


def test_a_slurm_that_does_not_answer_is_not_one_without_jobs(command):
    command("squeue", "slurm_load_jobs error: Unable to contact slurm controller", code=1)
    assert live_jobs(["17"]) is None


def test_partitions_are_reported_with_their_time_limits(command):
    command("sinfo", "debug|1:00:00\nlong|infinite\ngpu|2-00:30:00")
    assert partitions() == {"debug": 60, "long": math.inf, "gpu": 2 * 1440 + 30}


def test_the_default_partition_is_the_one_with_a_star(command):
    command("sinfo", "gpu\ndebug*")
    assert default_partition() == "debug"


@pytest.mark.parametrize(
    ("limit", "expected"), [("30:00", 30), ("0:30", 0.5), ("1:00:00", 60), ("1-00:00:00", 1440), ("infinite", math.inf)]
)
def test_time_limits(limit, expected):
    assert minutes(limit) == expected


def test_commands_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert missing_commands() == ["sbatch", "srun", "squeue", "scontrol", "sinfo"]
