"""The real entrypoint, as users call it, on small data."""

import json
import re
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from helpers.entrypoint import SMALL, finish, metrics, start


def test_a_run_leaves_everything_that_it_names(train, tmp_path):
    done = train(*SMALL, "trainer.wandb=offline")
    (folder,) = (tmp_path / "outputs").iterdir()
    named = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines() if str(tmp_path) in line}
    for name in ("checkpoint", "best", "metrics", "picture"):
        assert Path(named[name]).is_file(), f"{name} in:\n{done.stdout}"
    assert list(Path(next(line.split()[-1] for line in done.stdout.splitlines() if "W&B" in line)).glob("run-*.wandb"))
    rows = metrics(folder)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    for name in ("val/loss", "val/s1/miou", "val/s2/miou_true", "val/s2/iou/snow_ice", "train/s1/wrong_all"):
        assert name in rows[-1]
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["last_epoch"]["val/s2/miou"] == float(rows[-1]["val/s2/miou"])
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["config"]["dataset"]["locations"] == 12
    assert checkpoint["config"]["fusion"]["bands"] == {"s1": 2, "s2": 13}
    assert "net.encoder1.model.conv1.weight" in checkpoint["state_dict"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["fusion=late", "selection.prop=0.3", "dataset.bands=9", "loss=ce_dice_focal", "smoothing=none"],
        pytest.param(
            ["fusion=mid", "fusion.common=true", "selection.ramp=none", "loss.consistency=kl", "trainer/optimizer=sgd"],
            marks=pytest.mark.slow,
        ),
        ["fusion=single", "fusion.modality=s1", "selection=none", "loss.consistency=none", "smoothing=uniform"],
    ],
    ids=["late", "common", "single"],
)
def test_other_parts_train_too(train, tmp_path, overrides):
    train(*SMALL, "trainer.epochs=1", *overrides)
    (folder,) = (tmp_path / "outputs").iterdir()
    assert float(metrics(folder)[-1]["val/loss"]) > 0


@pytest.mark.slow
def test_the_same_command_twice_keeps_both_runs(train, tmp_path):
    for _ in range(2):
        train(*SMALL, "trainer.epochs=1")
    first, second = sorted((tmp_path / "outputs").iterdir())
    assert second.name == f"{first.name}-2"
    # The same seed on the same data: the same numbers, to the last digit.
    assert metrics(first) == metrics(second)


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_never_stopped(train, tmp_path):
    # A decoder with dropout, and a rate that is halved after every epoch but the first.
    settings = [*SMALL, "trainer.limit_batches=2", "backbone=resnet18", "backbone.decoder=fpn"]
    settings += ["trainer.scheduler.patience=0", "trainer.scheduler.threshold=0.9"]
    train(*settings, "trainer.epochs=3", "hydra.run.dir=whole")
    train(*settings, "trainer.epochs=2", "hydra.run.dir=parts")
    train(*settings, "trainer.epochs=3", "hydra.run.dir=parts", "trainer.workers=2")
    whole, parts = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    rows = metrics(tmp_path / "whole")
    assert rows == metrics(tmp_path / "parts")
    assert [float(row["lr-Adam"]) for row in rows] == [5e-3, 5e-3, 2.5e-3]


MISTAKES = [
    ([*SMALL, "selection.prp=0.5"], "There is no key selection.prp: did you mean selection.prop"),
    ([*SMALL, "+selection.prp=0.5"], "There is no key selection.prp: did you mean selection.prop"),
    ([*SMALL, "++trainer.accumulate_grad_batches=4"], "There is no key trainer.accumulate_grad_batches"),
    ([*SMALL, "~trainer.epochs"], "trainer.epochs has no value"),
    ([*SMALL, "dataset.modality=s1"], "dataset.modality=s1 has no effect"),
    ([*SMALL, "fusion=lat"], "fusion=lat is unknown: choose one of early, late, mid, single"),
    ([*SMALL, "selection.prop=1.5"], "selection.prop=1.5 must be a number in [0, 1]"),
    ([*SMALL, "dataset.crop=48"], "dataset.crop=48"),
    ([*SMALL, "fusion=single"], "set selection=none"),
    ([*SMALL, "trainer.resume=nowhere.ckpt"], "trainer.resume=nowhere.ckpt does not exist"),
    ([*SMALL, "dataset.cache=/proc/nowhere"], "/proc/nowhere"),
    ([*SMALL, "backbone.encoder=resnet19"], "did you mean resnet18"),
    ([*SMALL, "trainer.monitor=val/s2/mio"], "trainer.monitor=val/s2/mio is never measured: choose e.g. val/s2/miou"),
    ([*SMALL, "trainer/hardware=gpu", "trainer.devices=64"], "and torch sees"),
    (["dataset=nol", "dataset.path=nowhere"], "nowhere"),
    (["dataset=nol"], "dataset.path has no default"),
    (
        ["dataset=nol", "dataset.path=.", "dataset.locations=3"],
        "There is no key dataset.locations with the chosen options",
    ),
]


@pytest.mark.parametrize(("overrides", "message"), MISTAKES)
def test_a_mistake_ends_at_once_with_a_reason(overrides, message, refused):
    assert message in refused(*overrides)


def test_a_mistake_ends_the_program_without_a_stack_trace(train):
    done = train("dataset=nol", "dataset.path=nowhere", check=False)
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_full_disk_ends_with_what_and_where(train, tmp_path):
    def call_with_small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    train(*SMALL, "trainer.epochs=1", "hydra.run.dir=run")
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    done = train(*SMALL, "hydra.run.dir=run", check=False, preexec_fn=call_with_small_files)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before


@pytest.mark.slow
def test_a_checkpoint_of_another_model_is_refused(train, tmp_path):
    train(*SMALL, "trainer.epochs=1", "hydra.run.dir=mid")
    done = train(*SMALL, "fusion=late", f"trainer.resume={tmp_path}/mid/checkpoints/last.ckpt", check=False)
    assert done.returncode == 1
    assert "is a checkpoint of another model" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_best_checkpoint_of_a_score_is_that_of_its_highest_value(train, tmp_path):
    train(*SMALL, "trainer.epochs=4", "trainer.limit_batches=1", "trainer.monitor=val/s2/miou", "hydra.run.dir=run")
    scores = [float(row["val/s2/miou"]) for row in metrics(tmp_path / "run")]
    best = torch.load(tmp_path / "run" / "checkpoints" / "best.ckpt", weights_only=True)
    assert len(set(scores)) > 1
    assert scores[best["epoch"]] == max(scores)


def listen_to_ctrl_c():
    # What a shell starts in the background ignores Ctrl-C, and so would all that these tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def interrupted(running):
    """Presses Ctrl-C until it is heard, and returns what the process said.

    Python drops an exception that comes up within the callback of a weak reference, and reports that; a person presses
    the keys once more.
    """
    for _ in range(4):
        running.send_signal(signal.SIGINT)
        try:
            stdout, stderr = running.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            continue
        return stdout, re.sub(r"Exception ignored in: .*?\nKeyboardInterrupt: *\n", "", stderr, flags=re.DOTALL)
    running.kill()
    raise AssertionError(running.communicate())


def test_ctrl_c_ends_cleanly_and_the_run_resumes_later(train, tmp_path, cache):
    running = start(
        "train.py",
        *SMALL,
        "trainer.epochs=200",
        "trainer.limit_batches=2",
        "hydra.run.dir=run",
        cwd=tmp_path,
        cache=cache,
        preexec_fn=listen_to_ctrl_c,
    )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    stdout, stderr = interrupted(running)
    assert running.returncode == 130, stderr
    assert "The same command resumes" in stdout
    assert "Traceback" not in stderr
    done_epochs = len(metrics(tmp_path / "run"))
    assert 0 < done_epochs < 200
    train(*SMALL, f"trainer.epochs={done_epochs + 1}", "trainer.limit_batches=2", "hydra.run.dir=run")
    assert len(metrics(tmp_path / "run")) == done_epochs + 1


def test_ctrl_c_before_the_training_ends_cleanly_too(tmp_path, cache):
    many = [*SMALL, "dataset.locations=5000"]
    running = start("train.py", *many, cwd=tmp_path, cache=tmp_path, preexec_fn=listen_to_ctrl_c)
    time.sleep(4)
    running.send_signal(signal.SIGINT)
    done = finish(running, check=False)
    assert done.returncode == 130
    assert "Stopped" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_network_that_breaks_in_the_last_step_of_an_epoch_is_not_saved(train, tmp_path):
    # Of an optimiser of the user's own no range of the rate is known.
    diverging = ["trainer.optimizer._target_=torch.optim.Adagrad", "trainer.optimizer.lr=1e36"]
    diverging += ["trainer.limit_batches=1", "hydra.run.dir=run"]
    done = train(*SMALL, *diverging, check=False)
    assert done.returncode == 1
    assert re.search(r"the logits of modality s[12] are not finite at step 1: the training diverged", done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_help_is_short_and_names_every_group(train):
    done = train("--help")
    assert len(done.stdout.splitlines()) < 45
    options = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert options["fusion"] == ["early", "late", "mid*", "single"]
    assert options["selection"] == ["cromss*", "none"]
    assert "synthetic*" in options["dataset"]
    assert done.stdout.count("  cromss train ") >= 5


@pytest.mark.slow
def test_a_sweep_runs_its_jobs_in_folders_named_after_what_differs(train, tmp_path):
    train("-m", *SMALL, "trainer.epochs=1", "trainer.limit_batches=1", "seed=1,2")
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert "seed=1,2" in sweep.name
    names = sorted(folder.name for folder in sweep.iterdir() if folder.is_dir())
    assert len(names) == 2
    assert all(f"seed={seed}" in name for seed, name in zip((1, 2), names, strict=True))
