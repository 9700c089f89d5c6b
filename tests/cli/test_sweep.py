"""Sweeps by the real entrypoint: what lacks runs, what is there does not; mistakes come before any submission."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cromss.report.sweeps import status
from helpers.entrypoint import SMALL, finish, metrics, start

ONE = [*SMALL, "trainer.limit_batches=1", "trainer.epochs=1"]


def runs(tmp_path):
    """The folders of the runs of the one sweep below tmp_path, by what tells them apart."""
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    return sweep, {json.loads(record.read_text())["seed"]: record.parent for record in sweep.glob("*/run.json")}


def test_a_sweep_again_repeats_what_failed_and_runs_nothing_twice(train, tmp_path):
    arms = ["-m", *ONE, "seed=1,2", "trainer.optimizer.lr=1e-3"]
    settings = ["backbone.weights=cromss", "backbone.weights_path=weights.ckpt"]
    (tmp_path / "weights.ckpt").write_bytes(b"no weights")
    done = train(*arms, *settings, check=False)
    assert done.returncode == 1
    sweep, folders = runs(tmp_path)
    *lines, _, total = status(sweep).splitlines()
    assert [line.split()[:2] for line in lines] == [["failed", "seed=1"], ["failed", "seed=2"]]
    assert "weights.ckpt cannot be read as weights" in lines[0]
    assert total == "2 runs: 2 failed"

    # One of them lacks nothing any more.
    train(*ONE, "seed=1", "hydra.run.dir=good", "trainer.optimizer.lr=1e-3")
    (tmp_path / "weights.ckpt").write_bytes((tmp_path / "good" / "checkpoints" / "last.ckpt").read_bytes())
    done = train(*arms, *settings)
    assert "#0 is repeated: seed=1" in done.stdout
    assert [json.loads((folder / "run.json").read_text())["state"] for folder in folders.values()] == ["done", "done"]
    before = {path: path.stat().st_mtime_ns for folder in folders.values() for path in folder.rglob("*.ckpt")}

    done = train(*arms, *settings)
    assert done.stdout.count("finished before, val/loss") == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert status(sweep).splitlines()[-1] == "2 runs: 2 done"


@pytest.mark.slow
def test_processes_of_this_machine_run_a_sweep_side_by_side(train, tmp_path):
    train("-m", *ONE, "seed=1,2", "hydra/launcher=slurm_local", "hydra.launcher.parallel=2")
    sweep, folders = runs(tmp_path)
    assert status(sweep).splitlines()[-1] == "2 runs: 2 done"
    jobs = {json.loads((folder / "run.json").read_text())["job"] for folder in folders.values()}
    assert len(jobs) == 2
    assert all(len(metrics(folder)) == 1 for folder in folders.values())


@pytest.mark.slow
def test_a_run_that_is_under_way_is_left_alone_by_a_second_command(train, tmp_path, cache):
    running = start("train.py", *SMALL, "trainer.epochs=500", "hydra.run.dir=run", cwd=tmp_path, cache=cache)
    try:
        record = tmp_path / "run" / "run.json"
        deadline = time.monotonic() + 120
        while not record.exists() and time.monotonic() < deadline:
            time.sleep(0.2)
        second = train(*SMALL, "trainer.epochs=500", "hydra.run.dir=run", check=False)
        assert second.returncode == 1
        assert f"is being written by process {running.pid} on " in second.stderr
        # Within a sweep it is no error: the other runs are to go on.
        sweep = ["hydra.sweep.dir=.", "hydra.sweep.subdir=run", "trainer.epochs=500"]
        third = train("-m", *SMALL, *sweep)
        assert "#0 left alone, running" in third.stdout
    finally:
        running.kill()
        finish(running, check=False)


@pytest.mark.slow
def test_a_killed_run_resumes_by_the_same_command_in_the_same_folder(train, tmp_path, cache):
    many = [*SMALL, "trainer.limit_batches=1"]
    running = start("train.py", *many, "trainer.epochs=500", cwd=tmp_path, cache=cache)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("outputs/*/checkpoints/last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.1)
    running.kill()
    finish(running, check=False)
    (folder,) = (tmp_path / "outputs").iterdir()
    epochs = len(metrics(folder)) + 1
    # Another number of epochs is another name: only the folder is given.
    done = train(*many, f"trainer.epochs={epochs}", f"hydra.run.dir='{folder}'")
    assert "resumes from" in done.stdout
    assert [int(row["epoch"]) for row in metrics(folder)] == list(range(epochs))
    assert json.loads((folder / "run.json").read_text())["state"] == "done"


def test_sigterm_ends_a_run_with_its_own_code_and_is_noted(tmp_path, cache):
    running = start("train.py", *SMALL, "trainer.epochs=500", "hydra.run.dir=run", cwd=tmp_path, cache=cache)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    running.terminate()
    finish(running, check=False)
    assert running.returncode == 143
    assert json.loads((tmp_path / "run" / "run.json").read_text())["state"] == "preempted"


MISTAKES = [
    (["selection.prp=0.1,0.2"], "There is no key selection.prp: did you mean selection.prop"),
    (["selection.prop=0.1,1.5", "seed=1,2"], "selection.prop=1.5 must be a number in [0, 1]"),
    (["+trainer.accumulate_grad_batches=1,4"], "There is no key trainer.accumulate_grad_batches"),
    (["dataset.modality=s1,s2"], "dataset.modality=s1 has no effect"),
    (["dataset.rotate=0,0.2", "dataset.degrees=45,90"], "dataset.degrees=45 has no effect: dataset.rotate=0"),
    (["selection.scope=global,batch"], "selection.scope=global has no effect: one process trains"),
    (
        ["seed=1,2", "hydra/launcher=slurm_local", "hydra.launcher.timeout_min=soon"],
        "hydra.launcher.timeout_min=soon must",
    ),
    (["seed=1,2", "hydra.sweep.subdir=all"], "seed=1 and seed=2 share the folder"),
    (
        ["seed=1,2", "hydra/launcher=slurm_local", "trainer.devices=2", "hydra.launcher.tasks_per_node=1"],
        "trainer.devices=2 needs hydra.launcher.tasks_per_node=2",
    ),
    (["seed=1,2", "hydra/launcher=slurm_local", "trainer.devices=-1"], "trainer.devices=-1 names GPUs"),
    (
        ["seed=1,2", "hydra/launcher=slurm_local", "hydra.launcher.parallel=0"],
        "hydra.launcher.parallel=0 must be a whole number",
    ),
    (["seed=1,2", "hydra/launcher=slurm_local", "hydra.launcher.nodes=2"], "trainer.num_nodes=1 needs"),
    (["seed=1,2", "hydra/launcher=slurm"], "sbatch, srun, squeue, scontrol, sinfo are not to be found here"),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES)
def test_a_sweep_that_cannot_run_is_refused_before_anything_is_submitted(
    overrides, message, tmp_path, refused, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert message in refused("-m", *SMALL, *overrides)
    assert not list(tmp_path.rglob("run.json"))
    assert not list(tmp_path.rglob("submitted.json"))


def test_too_many_processes_for_the_devices_are_refused(train, monkeypatch):
    # The first of those that `srun --ntasks=2` would start.
    for name, value in {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "2"}.items():
        monkeypatch.setenv(name, value)
    done = train(*ONE, "hydra.run.dir=run", check=False)
    assert done.returncode == 1
    assert "Slurm started 2 processes for trainer.devices=1 on trainer.num_nodes=1" in done.stderr


@pytest.mark.slow
def test_sweeps_that_start_together_have_folders_of_their_own(tmp_path, cache):
    both = [
        start("train.py", "-m", *ONE, f"seed={seed},{seed + 1}", "selection=none", cwd=tmp_path, cache=cache)
        for seed in (1, 3)
    ]
    for running in both:
        finish(running, check=True)
    sweeps = sorted((tmp_path / "outputs" / "sweeps").iterdir())
    assert len(sweeps) == 2
    assert [status(sweep).splitlines()[-1] for sweep in sweeps] == ["2 runs: 2 done"] * 2
    assert {path.name for path in Path(tmp_path).glob("outputs/*")} == {"sweeps"}


def test_status_is_a_command_and_says_what_a_sweep_is(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "cromss.report", f"status={tmp_path}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "holds no sweep.json: name the folder of a sweep, as outputs/sweeps/NAME" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["one_by_one", "slurm_local"])
def test_each_run_of_a_sweep_may_have_two_processes(train, tmp_path, launcher):
    # The second run in the same process must not take itself for a part of the first one's group.
    two = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp"]
    done = train("-m", *ONE, *two, "seed=1,2", f"hydra/launcher={launcher}")
    sweep, folders = runs(tmp_path)
    assert status(sweep).splitlines()[-1] == "2 runs: 2 done"
    assert all(len(metrics(folder)) == 1 for folder in folders.values())
    assert {path.name for path in (tmp_path / "outputs").iterdir()} == {"sweeps"}, done.stdout
