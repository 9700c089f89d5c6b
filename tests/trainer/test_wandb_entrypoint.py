"""What a run of the real entrypoint leaves for W&B when the whole job is told to end, W&B's own process too."""

import os
import signal
import time

import pytest

from helpers.entrypoint import SMALL, finish, metrics, start
from helpers.wandb_files import offline_runs


@pytest.mark.slow
def test_a_preempted_job_says_so_and_resumes_as_the_same_run(tmp_path):
    settings = [*SMALL, "trainer.wandb=offline", "trainer.progress_bar=false", "trainer.limit_batches=1"]
    settings += ["trainer.panels_every=1000", "trainer.checkpoint_every=1000", "hydra.run.dir=run"]
    running = start(
        "train.py", *settings, "trainer.epochs=400", cwd=tmp_path, cache=tmp_path / "cache", start_new_session=True
    )
    folder = tmp_path / "run"
    deadline = time.monotonic() + 200
    while not (folder / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    # As Slurm does: to every process of the job.
    os.killpg(running.pid, signal.SIGTERM)
    ended = finish(running, check=False)
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert "Traceback" not in ended.stderr
    epochs = {int(row["epoch"]) for row in metrics(folder)}
    parts = offline_runs(folder)
    assert (parts[-1].exit_code, parts[-1].is_preempting, parts[-1].summary["state"]) == (143, True, "preempted")
    logged = {row["epoch"] for part in parts for row in part.history if "train/loss" in row}
    assert {0, max(epochs)} <= epochs & logged

    on = finish(
        start("train.py", *settings, f"trainer.epochs={max(epochs) + 2}", cwd=tmp_path, cache=tmp_path / "cache"), True
    )
    assert "W&B run" in on.stdout
    last = offline_runs(folder)[-1]
    assert (last.run.run_id, last.exit_code, last.summary["state"]) == (parts[-1].run.run_id, 0, "done")
    assert last.run.resume
    assert min(row["epoch"] for row in last.history if "train/loss" in row) > 0


@pytest.mark.slow
def test_a_server_that_cannot_be_reached_does_not_stop_a_training(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    settings = [*SMALL, "trainer.wandb=auto", "trainer.wandb_init_timeout=1", "hydra.run.dir=run"]
    done = finish(start("train.py", *settings, cwd=tmp_path, cache=tmp_path / "cache"), check=True)
    assert "make wandb-sync" in done.stdout + done.stderr
    assert len(metrics(tmp_path / "run")) == 2
    (found,) = offline_runs(tmp_path / "run")
    assert (found.exit_code, found.summary["state"]) == (0, "done")
