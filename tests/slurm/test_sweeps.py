"""Sweeps on a real Slurm: what is promised of preemption, time limits, crashes and second commands."""

import csv
import json
import subprocess
import sys
from collections import Counter

import pytest
import torch

from helpers.entrypoint import ROOT, SMALL, latest
from helpers.preparing import content
from helpers.raw_layouts import random_ssl4eo_s12
from slurm.cluster import until

SLURM = [
    "hydra/launcher=slurm",
    "hydra.launcher.cpus_per_task=1",
    "hydra.launcher.mem_gb=1",
    "hydra.launcher.timeout_min=30",
    "hydra.launcher.poll_s=2",
]
LONG = [*SMALL, "trainer.limit_batches=1", "trainer.panels_every=1000", "trainer.checkpoint_every=1000"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def start(cluster, tmp_path, cache):
    """Starts a program of the project where this Slurm is seen."""

    def call(*command):
        program = [str(ROOT / "train.py"), *latest(command[1:])] if command[0] == "train.py" else list(command)
        return subprocess.Popen(
            [sys.executable, *program],
            cwd=tmp_path,
            env=cluster.env | {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return call


@pytest.fixture
def train(start):
    """Runs train.py to its end, with what it said."""

    def call(*overrides, code=0):
        return ended(start("train.py", *overrides), code)

    return call


def ended(running, code=0):
    """What a launcher said, which is to end with a code and in time."""
    try:
        said, _ = running.communicate(timeout=200)
    except subprocess.TimeoutExpired:
        running.kill()
        raise AssertionError(running.communicate()[0]) from None
    assert running.returncode == code, said
    return said


@pytest.fixture
def status(start, tmp_path):
    def call():
        (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
        return ended(start("-m", "cromss.report", f"status={sweep}"))

    return call


def folder_of(tmp_path, text):
    (found,) = tmp_path.glob(f"outputs/sweeps/*/*{text}*")
    return found


def epochs(folder):
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def record(folder):
    return json.loads((folder / "run.json").read_text())


def job_of(folder):
    return json.loads((folder / "submitted.json").read_text())["job"]


def weights(folder):
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]


def assert_equal_weights(one, other):
    one, other = weights(one), weights(other)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_sweep_runs_and_the_same_again_runs_nothing(cluster, train, status, tmp_path):
    sweep = ["-m", *SMALL, "trainer.limit_batches=1", "trainer.epochs=1", *SLURM]
    sweep += ["selection.prop=0.3,0.5,0.7", "seed=1,2"]
    said = train(*sweep)
    assert "Submitted 6 jobs" in said
    assert status().splitlines()[-1] == "6 runs: 6 done"
    names = cluster.run("squeue", "--states=all", "--noheader", "--array", "--format=%j").stdout
    assert all(f"selection.prop={prop}" in names for prop in (0.3, 0.5, 0.7))
    before = cluster.jobs()
    said = train(*sweep)
    assert said.count("finished before, val/loss") == 6
    assert cluster.jobs() == before


def test_a_failing_arm_is_distinguished_from_one_that_ended_well(train, status):
    sweep = ["-m", *SMALL, "trainer.limit_batches=1", "trainer.epochs=2", *SLURM]
    # Of an optimiser of the user's own no range of the rate is known, so that one arm may diverge.
    sweep += ["trainer.optimizer._target_=torch.optim.Adagrad", "trainer.optimizer.lr=1e-3,1e36"]
    said = train(*sweep, code=1)
    assert "1 of 2 runs failed" in said
    good, bad, *_ = status().splitlines()
    assert good.startswith("done")
    assert bad.startswith("failed")
    assert "the training diverged" in bad


def test_requeued_preempted_and_cancelled_jobs(cluster, start, train, status, tmp_path):
    sweep = ["-m", *LONG, "trainer.epochs=60", *SLURM, "seed=1,2,3"]
    running = start("train.py", *sweep)
    until(lambda: len(list(tmp_path.glob("outputs/sweeps/*/*/metrics.csv"))) == 3, "the first epochs", 120)
    folders = {seed: folder_of(tmp_path, f"seed={seed},trainer") for seed in (1, 2, 3)}
    until(lambda: min(len(epochs(folder)) for folder in folders.values()) >= 2, "some epochs", 60)
    cluster.requeue(job_of(folders[1]))
    cluster.cancel(job_of(folders[2]))
    said = ended(running, code=1)
    # The one that was cancelled has not left the launcher waiting for it.
    assert f"job {job_of(folders[2])} ended without a result" in said
    assert Counter(line.split()[0] for line in status().splitlines()[:3]) == {"done": 2, "interrupted": 1}
    assert record(folders[1])["job"].endswith("start 2")
    assert record(folders[2])["state"] == "preempted"
    assert 0 < len(epochs(folders[2])) < 60

    said = train(*sweep)
    assert "Submitted 1 job " in said
    assert status().splitlines()[-1] == "3 runs: 3 done"
    for seed, folder in folders.items():
        assert epochs(folder) == list(range(60)), seed
    for seed in (1, 2):
        train(*LONG, "trainer.epochs=60", f"seed={seed}", f"hydra.run.dir=whole{seed}")
        assert_equal_weights(folders[seed], tmp_path / f"whole{seed}")


def test_a_job_resumes_after_its_time_limit(cluster, start, tmp_path):
    # Slurm sends the signal 100 s before the limit, or up to a minute earlier: to a job that has just started it would
    # come before anybody listens, so that the limit falls when it is at work.
    settings = [*LONG, "trainer.epochs=400", *SLURM, "hydra.launcher.signal_delay_s=100"]
    running = start("train.py", "-m", *settings, "seed=1")
    until(lambda: list(tmp_path.glob("outputs/sweeps/*/*/metrics.csv")), "the first epoch", 120)
    folder = folder_of(tmp_path, "seed=1")
    cluster.run("scontrol", "update", f"JobId={job_of(folder)}", "TimeLimit=2")
    cluster.wait(job_of(folder), "PENDING", timeout=90)
    cluster.run("scontrol", "update", f"JobId={job_of(folder)}", "TimeLimit=30")
    assert record(folder)["state"] == "preempted"
    before = len(epochs(folder))
    assert 0 < before < 400
    ended(running)
    assert record(folder)["job"].endswith("start 2")
    assert epochs(folder) == list(range(400))


def test_a_killed_launcher_leaves_its_jobs_and_the_next_leaves_them_alone(start, train, status, tmp_path):
    sweep = ["-m", *LONG, "trainer.epochs=100", *SLURM, "seed=1,2"]
    running = start("train.py", *sweep)
    until(lambda: len(list(tmp_path.glob("outputs/sweeps/*/*/metrics.csv"))) == 2, "the first epochs", 120)
    running.kill()
    running.communicate()
    said = train(*sweep)
    assert said.count("left alone, running") == 2
    assert "Submitted" not in said
    until(lambda: status().splitlines()[-1] == "2 runs: 2 done", "the end of both", 120)
    assert train(*sweep).count("finished before") == 2


def test_a_run_survives_the_loss_of_its_node(cluster, start, tmp_path):
    running = start("train.py", "-m", *LONG, "trainer.epochs=40", *SLURM, "seed=1")
    until(lambda: list(tmp_path.glob("outputs/sweeps/*/*/metrics.csv")), "the first epoch", 120)
    folder = folder_of(tmp_path, "seed=1")
    cluster.kill_daemons()
    cluster.restart()
    ended(running)
    assert record(folder)["job"].endswith("start 2")
    assert epochs(folder) == list(range(40))


def test_two_processes_of_a_job_that_is_requeued_end_as_if_it_never_was(cluster, start, train, tmp_path):
    two = [*LONG, "trainer.epochs=30", "trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    running = start("train.py", "-m", *two, *SLURM, "seed=1")
    until(lambda: list(tmp_path.glob("outputs/sweeps/*/*/metrics.csv")), "the first epoch", 120)
    folder = folder_of(tmp_path, "seed=1")
    until(lambda: len(epochs(folder)) >= 2, "some epochs", 60)
    cluster.requeue(job_of(folder))
    ended(running)
    assert record(folder)["job"].endswith("start 2")
    assert epochs(folder) == list(range(30))
    train(*two, "hydra.run.dir=whole")
    assert_equal_weights(folder, tmp_path / "whole")


def test_a_store_is_prepared_by_an_array(start, tmp_path):
    random_ssl4eo_s12(tmp_path / "raw", 4, size=24)
    source = [
        "source=ssl4eo_s12",
        "path=raw",
        "ssl4eo_s12.ids=raw/ids.csv",
        "ssl4eo_s12.size=24",
        "locations_per_shard=1",
        "workers=1",
    ]
    ended(start("-m", "cromss.prepare", "-m", *SLURM, *source, "shard=range(2)", "shards=2", "out=array"))
    ended(start("-m", "cromss.prepare", *source, "out=one"))
    assert content(tmp_path / "array") == content(tmp_path / "one")


REFUSALS = [
    (["hydra.launcher.partition=gpux"], "partition=gpux is unknown to this cluster: choose one of debug, urgent"),
    (["hydra.launcher.timeout_min=600"], "is more than the 60 minutes that the partition debug allows"),
    (["hydra.launcher.mem_gb=1000"], "Slurm refused the jobs, and nothing was submitted"),
]


@pytest.mark.parametrize(("overrides", "message"), REFUSALS)
def test_what_the_cluster_cannot_run_is_refused_at_once(cluster, train, tmp_path, overrides, message):
    said = train("-m", *SMALL, *SLURM, *overrides, "seed=1,2", code=1)
    assert message in said
    assert "Traceback" not in said
    assert not {"PENDING", "RUNNING"} & set(cluster.jobs().values())
    assert not list(tmp_path.rglob("run.json"))
