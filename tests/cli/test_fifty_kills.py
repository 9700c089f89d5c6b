"""The same command, killed fifty times at random moments, ends as one that was never stopped."""

import multiprocessing
import random
import time

import pytest

from helpers.entrypoint import SMALL, metrics, run_forked
from helpers.fits import assert_same_run

KILLS = 50
EPOCHS = 50


@pytest.fixture
def started(tmp_path, cache, monkeypatch):
    """Starts train.py from a process that has read all libraries: a start is a second, and most kills hit training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(
        ["cromss.cli.train", "cromss.cli.training", "segmentation_models_pytorch", "torch._dynamo"]
    )

    def call(*overrides):
        process = server.Process(target=run_forked, args=overrides)
        process.start()
        return process

    return call


def written(folder):
    """Tells the files of the checkpoints apart, by name and place on the disk."""
    return {(path.name, path.stat().st_ino) for path in (folder / "checkpoints").glob("*.ckpt") if path.exists()}


def wait(process, folder, checkpoints, seconds):
    """Waits until so many checkpoints more are written, or the time is over; returns the time that it took."""
    begun, known, seen = time.monotonic(), written(folder), 0
    while seen < checkpoints and time.monotonic() < begun + seconds and process.is_alive():
        time.sleep(0.002)
        now = written(folder)
        seen, known = seen + (now != known), now
    return time.monotonic() - begun


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_kills_change_nothing(started, tmp_path):
    settings = [*SMALL, f"trainer.epochs={EPOCHS}", "trainer.limit_batches=3", "trainer.checkpoint_steps=1"]
    settings += ["trainer.resume=auto", "trainer.panels_every=20", "trainer.checkpoint_every=15"]
    settings += ["trainer.ramp_epochs=30", "trainer.scheduler.patience=2", "trainer.progress_bar=false"]
    started("--help").join()  # the libraries are read
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    process = started(*settings, f"hydra.run.dir={whole}")
    start = wait(process, whole, 1, 300)
    between = wait(process, whole, 8, 300) / 8
    process.join()
    assert process.exitcode == 0

    moments = random.Random(0)
    cut = 0
    for kill in range(KILLS):
        process = started(*settings, f"hydra.run.dir={parts}")
        if kill % 3 == 0:
            wait(process, parts, 1, moments.uniform(0, start))
        else:
            # An epoch writes three or four.
            wait(process, parts, moments.randrange(1, 4), 300)
            wait(process, parts, 1, moments.uniform(0, between))
        assert process.is_alive(), f"ended by itself before kill {kill}"
        process.kill()
        process.join()
        cut += bool(list(parts.rglob(".*.partial-*")))
    assert cut > 0, "no kill came while a file was written"
    assert len(metrics(parts)) > 5
    process = started(*settings, f"hydra.run.dir={parts}")
    process.join()
    assert process.exitcode == 0
    assert_same_run(whole, parts)
    assert [int(row["epoch"]) for row in metrics(parts)] == list(range(EPOCHS))
    assert not list(parts.rglob(".*.partial-*"))
