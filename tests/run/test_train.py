"""The real entrypoint, as users call it, on small data."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["dataset.locations=12", "dataset.size=40", "dataset.crop=32", "trainer=smoke", "trainer.wandb=disabled"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def train(tmp_path, cache):
    """Runs train.py in an empty folder."""

    def call(*overrides, check=True, **options):
        done = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *overrides],
            cwd=tmp_path,
            env=environment(cache),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
            **options,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    return call


def environment(cache):
    return os.environ | {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"}


def metrics(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


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
        ["fusion=mid", "fusion.common=true", "selection.ramp=none", "loss.consistency=kl", "trainer/optimizer=sgd"],
        ["fusion=single", "fusion.modality=s1", "selection=none", "loss.consistency=none", "smoothing=uniform"],
    ],
    ids=["late", "common", "single"],
)
def test_other_parts_train_too(train, tmp_path, overrides):
    train(*SMALL, "trainer.epochs=1", *overrides)
    (folder,) = (tmp_path / "outputs").iterdir()
    assert float(metrics(folder)[-1]["val/loss"]) > 0


def test_the_same_command_twice_keeps_both_runs(train, tmp_path):
    for _ in range(2):
        train(*SMALL, "trainer.epochs=1")
    first, second = sorted((tmp_path / "outputs").iterdir())
    assert second.name == f"{first.name}-2"
    # The same seed on the same data: the same numbers, to the last digit.
    assert metrics(first) == metrics(second)


def test_a_resumed_run_equals_one_that_never_stopped(train, tmp_path):
    train(*SMALL, "trainer.epochs=2", "hydra.run.dir=whole")
    train(*SMALL, "trainer.epochs=1", "hydra.run.dir=parts")
    train(*SMALL, "trainer.epochs=2", "hydra.run.dir=parts", "trainer.resume=auto", "trainer.workers=2")
    whole, parts = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for name in ("whole", "parts")
    )
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert metrics(tmp_path / "whole")[-1]["val/loss"] == metrics(tmp_path / "parts")[-1]["val/loss"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["selection.prp=0.5"], "There is no key selection.prp: did you mean selection.prop"),
        (["fusion=lat"], "Could not find 'fusion/lat'"),
        (["selection.prop=1.5"], "prop"),
        (["dataset.crop=48"], "dataset.crop=48"),
        (["fusion=single"], "selection=none"),
        (["trainer.resume=nowhere.ckpt"], "nowhere.ckpt is no file"),
        (["dataset.cache=/proc/nowhere"], "/proc/nowhere"),
        (["backbone.encoder=resnet19"], "did you mean resnet18"),
    ],
)
def test_a_mistake_ends_at_once_with_a_reason_and_without_a_stack_trace(train, overrides, message):
    done = train(*SMALL, *overrides, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 1
    assert message in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.path=nowhere"], "nowhere"),
        ([], "dataset.path"),
        (["dataset.path=.", "dataset.locations=3"], "There is no key dataset.locations: did you mean"),
    ],
)
def test_a_wrong_dataset_ends_at_once(train, overrides, message):
    done = train("dataset=nol", "trainer=smoke", *overrides, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_ends_with_what_and_where(train, tmp_path):
    def call_with_small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    train(*SMALL, "trainer.epochs=1", "hydra.run.dir=run")
    before = (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes()
    done = train(*SMALL, "hydra.run.dir=run", "trainer.resume=auto", check=False, preexec_fn=call_with_small_files)
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert "free space" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").read_bytes() == before


def test_a_checkpoint_of_another_model_is_refused(train, tmp_path):
    train(*SMALL, "trainer.epochs=1", "hydra.run.dir=mid")
    done = train(*SMALL, "fusion=late", f"trainer.resume={tmp_path}/mid/checkpoints/last.ckpt", check=False)
    assert done.returncode == 1
    assert "is a checkpoint of another model" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_cleanly_and_the_run_goes_on_later(train, tmp_path, cache):
    command = [*SMALL, "trainer.epochs=200", "trainer.limit_batches=2", "hydra.run.dir=run"]
    running = subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *command],
        cwd=tmp_path,
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130, stderr
    assert "trainer.resume=auto" in stdout
    assert "Traceback" not in stderr
    done_epochs = len(metrics(tmp_path / "run"))
    assert 0 < done_epochs < 200
    train(*SMALL, f"trainer.epochs={done_epochs + 1}", "hydra.run.dir=run", "trainer.resume=auto")
    assert len(metrics(tmp_path / "run")) == done_epochs + 1


def test_help_is_short_and_names_every_group(train):
    done = train("--help")
    assert len(done.stdout.splitlines()) < 45
    options = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert options["fusion"] == ["late", "mid*", "single"]
    assert options["selection"] == ["cromss*", "none"]
    assert "synthetic*" in options["dataset"]
    assert done.stdout.count("python train.py ") >= 5


def test_a_sweep_runs_its_jobs_in_folders_named_after_what_differs(train, tmp_path):
    train("-m", *SMALL, "trainer.epochs=1", "trainer.limit_batches=1", "seed=1,2")
    names = sorted(folder.name for folder in (tmp_path / "outputs").iterdir() if folder.is_dir())
    assert len(names) == 2
    assert all(f"seed={seed}" in name for seed, name in zip((1, 2), names, strict=True))
