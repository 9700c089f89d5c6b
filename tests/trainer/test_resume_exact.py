"""A fit that is killed and goes on ends as one that was never stopped, to the last bit."""

import shutil

import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins.precision import MixedPrecision

from cromss.trainer.checkpoint_file import AtomicCheckpointIO
from helpers.entrypoint import metrics
from helpers.fits import KilledError, assert_same_run, fit

# All that changes from epoch to epoch at once: a rate that is halved after every epoch but the first, a selection that
# sets in, an encoder that is unfrozen after the first epoch; and dropout within each step. Four steps an epoch.
SETTINGS = ["trainer.epochs=3", "trainer.scheduler.patience=0", "trainer.scheduler.threshold=0.9"]
SETTINGS += ["trainer.ramp_epochs=3", "backbone.freeze=frozen", "backbone.freeze_epochs=1"]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, cache):
    folder = tmp_path_factory.mktemp("whole")
    fit(folder, cache, *SETTINGS)
    return folder


@pytest.mark.parametrize(
    ("killed_after", "workers"), [(4, 0), (9, 2), pytest.param(2, 0, marks=pytest.mark.slow)], ids=str
)
def test_a_run_resumes_after_whole_epochs(tmp_path, cache, whole, killed_after, workers):
    fit(tmp_path, cache, *SETTINGS, kill_after=killed_after)
    fit(tmp_path, cache, *SETTINGS, f"trainer.workers={workers}")
    assert_same_run(whole, tmp_path)


@pytest.mark.parametrize(
    ("killed_after", "workers"),
    # Frozen, unfrozen, and where the newest checkpoint is that of an epoch.
    [(3, 0), (7, 2), *(pytest.param(*case, marks=pytest.mark.slow) for case in [(3, 2), (7, 0), (5, 0), (1, 2)])],
    ids=str,
)
def test_a_run_resumes_within_an_epoch(tmp_path, cache, whole, killed_after, workers):
    settings = [*SETTINGS, "trainer.checkpoint_steps=2"]
    fit(tmp_path, cache, *settings, kill_after=killed_after)
    assert (tmp_path / "checkpoints" / "step.ckpt").exists() == (killed_after > 1)
    # Whether checkpoints are written within epochs, too, is of no account for what is learned.
    fit(tmp_path, cache, *SETTINGS, f"trainer.workers={workers}")
    assert_same_run(whole, tmp_path)


@pytest.mark.slow
def test_two_processes_go_on_within_an_epoch(tmp_path, cache):
    two = [*SETTINGS, "trainer.devices=2", "trainer.strategy=ddp_fork_find_unused_parameters_true"]
    two += ["trainer.checkpoint_steps=1", "dataset.locations=20"]
    fit(tmp_path / "whole", cache, *two)
    for killed_after in (3, 6, 8):
        fit(tmp_path / "parts", cache, *two, kill_after=killed_after)
    fit(tmp_path / "parts", cache, *two, "trainer.workers=1")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("name", ["last.ckpt", pytest.param("best.ckpt", marks=pytest.mark.slow)])
def test_a_kill_right_after_a_checkpoint_costs_no_row(tmp_path, cache, whole, name, monkeypatch):
    class Last(AtomicCheckpointIO):
        def save_checkpoint(self, checkpoint, path, storage_options=None):
            super().save_checkpoint(checkpoint, path)
            if str(path).endswith(name) and checkpoint["epoch"] == 1:
                raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr("cromss.trainer.lightning_trainer.AtomicCheckpointIO", Last)
        fit(tmp_path, cache, *SETTINGS, kill_after=-1)
    fit(tmp_path, cache, *SETTINGS)
    assert_same_run(whole, tmp_path)


@pytest.mark.slow
def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path, cache, whole, caplog):
    fit(tmp_path, cache, *SETTINGS, kill_after=9)
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-1000])
    for name in ("best.ckpt", "epoch-001.ckpt"):
        (tmp_path / "checkpoints" / name).unlink()
    trainer = fit(tmp_path, cache, *SETTINGS)
    assert "last.ckpt cannot be read as a checkpoint" in caplog.text
    assert trainer.ckpt_path.name == "epoch-000.ckpt"
    assert_same_run(whole, tmp_path)


def test_a_finished_run_trains_no_further_and_may_have_been_moved(tmp_path, cache, whole):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    trainer = fit(tmp_path, cache, *SETTINGS, kill_after=12)
    assert trainer.current_epoch == 3
    best = next(callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint))
    assert best.best_model_path == str(tmp_path / "checkpoints" / "best.ckpt")
    assert best.best_model_score == min(float(row["val/loss"]) for row in metrics(tmp_path))
    weights = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    # What a test looks at.
    assert all(torch.equal(weights[name], value) for name, value in trainer.lightning_module.state_dict().items())
    assert_same_run(whole, tmp_path)


@pytest.mark.slow
def test_the_scaler_of_half_precision_resumes(tmp_path, cache):
    def plugins():
        # Grows and shrinks from step to step, which changes when steps are left out.
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**24, growth_interval=2)
        return [MixedPrecision("16-mixed", "cpu", scaler)]

    settings = ["trainer.epochs=2", "trainer.checkpoint_steps=2"]
    fit(tmp_path / "whole", cache, *settings, plugins=plugins())
    fit(tmp_path / "parts", cache, *settings, plugins=plugins(), kill_after=3)
    fit(tmp_path / "parts", cache, *settings, plugins=plugins())
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    scaler = torch.load(tmp_path / "parts" / "checkpoints" / "last.ckpt", weights_only=True)["MixedPrecision"]
    assert scaler["scale"] < 2.0**24


def test_under_slurm_no_checkpoint_of_lightnings_own_requeue_is_loaded(tmp_path, cache, monkeypatch):
    for name in ("NTASKS", "NTASKS_PER_NODE"):
        monkeypatch.setenv(f"SLURM_{name}", "1")
    for name in ("PROCID", "LOCALID", "NODEID"):
        monkeypatch.setenv(f"SLURM_{name}", "0")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    (tmp_path / "hpc_ckpt_3.ckpt").write_bytes(b"of another program")
    trainer = fit(tmp_path, cache, "trainer.epochs=1", "trainer.limit_batches=1")
    assert trainer.global_step == 1
    environment = trainer._accelerator_connector.cluster_environment
    assert environment.auto_requeue is False
