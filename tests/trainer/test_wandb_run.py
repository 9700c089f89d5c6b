"""W&B runs as they come out: offline files read back, and a stand-in for the server; no real one is asked."""

import gc
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import wandb
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from PIL import Image

from cromss.plotting import Panel, draw_panels, save_figure
from cromss.runs.names import SWEEP
from cromss.trainer import wandb_run
from cromss.trainer.loggers import RunInfo
from cromss.trainer.panels import _wandb_images
from cromss.trainer.wandb_run import closing_wandb, finish_wandb, wandb_folder, wandb_logger
from helpers.entrypoint import ROOT
from helpers.wandb_files import offline_runs
from helpers.wandb_server import WandbServer

CONFIG = {"trainer": {"test_only": False}, "selection": {"prop": 0.5, "ramp": None}, "seed": 1}
CHOICES = {"fusion": "mid", "trainer/optimizer": "adam", "experiments": None}
STATES = [("done", 0, False), ("failed", 1, False), ("preempted", 143, True), ("stopped", 255, False)]


@pytest.fixture(autouse=True)
def own_wandb(tmp_path, monkeypatch):
    """Nothing of the user's W&B, and no process of it that outlives a test."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    yield
    finish_wandb("failed")
    wandb.teardown()


def online(monkeypatch, url):
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", url)


def begun(folder, mode="auto", **settings):
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"init_timeout": 10, "finish_timeout": 10} | settings
    return wandb_logger(
        RunInfo(folder, CONFIG, CHOICES),
        mode=mode,
        **{"project": "p", "entity": None, "group": "auto", "job_type": "pretrain", "tags": ["ours"]} | settings,
    )


def wandb_processes():
    """W&B's own handles, as it forgets to wait for a process that died."""
    running = [thing for thing in gc.get_objects() if type(thing) is subprocess.Popen]
    return [process for process in running if process.poll() is None and "wandb-core" in str(process.args)]


def epochs(history):
    return [row["epoch"] for row in history if "val/loss" in row]


def test_a_run_of_a_sweep_says_what_it_is_and_keeps_its_config_nested(tmp_path):
    (tmp_path / "prop=0.3,0.5").mkdir()
    (tmp_path / "prop=0.3,0.5" / SWEEP).touch()
    folder = tmp_path / "prop=0.3,0.5" / "prop=0.5"
    logger = begun(folder)
    logger.log_metrics({"lr-Adam": 0.1}, step=3)
    logger.log_metrics({"val/loss": 2.0, "epoch": 0}, step=3)
    logger.log_scores({"test/s2/miou": 0.5})
    assert list(wandb_folder().glob("run-*.wandb"))
    finish_wandb("done")
    (found,) = offline_runs(folder)
    assert (found.run.run_group, found.run.job_type) == ("prop=0.3,0.5", "pretrain")
    assert (found.run.display_name, found.run.project) == ("prop=0.5", "p")
    assert set(found.run.tags) == {"ours", "fusion=mid"}
    # One key a group, not "selection/prop" or "selection.prop": the dashboard itself makes selection.prop of it.
    assert found.config["selection"] == CONFIG["selection"]
    assert found.config["choices"] == {"fusion": "mid", "trainer/optimizer": "adam"}
    (row,) = found.history
    assert (row["epoch"], row["lr-Adam"], row["val/loss"]) == (0, 0.1, 2.0)
    assert found.summary["test/s2/miou"] == 0.5
    assert wandb_folder() is None


@pytest.mark.parametrize(("state", "code", "is_preempting"), STATES)
def test_how_a_run_ended_is_reported_offline(tmp_path, state, code, is_preempting):
    begun(tmp_path / "run", group=None)
    finish_wandb(state)
    (found,) = offline_runs(tmp_path / "run")
    assert (found.exit_code, found.is_preempting, found.summary["state"]) == (code, is_preempting, f"{state}")
    assert found.run.run_group == ""


@pytest.mark.parametrize(
    ("error", "state"), [(ValueError("bad"), "failed"), (SystemExit(143), "preempted"), (SystemExit(130), "stopped")]
)
def test_what_ends_a_run_decides_its_state(tmp_path, error, state):
    @closing_wandb()
    def run():
        begun(tmp_path / "run")
        raise error

    with pytest.raises(type(error)):
        run()
    (found,) = offline_runs(tmp_path / "run")
    assert found.summary["state"] == state


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_wandb_costs_one_warning_and_nothing_else(tmp_path, caplog, how):
    logger = begun(tmp_path / "run")
    logger.log_metrics({"val/loss": 2.0, "epoch": 0})
    for process in wandb_processes():
        process.send_signal(how)
        process.wait()
    for epoch in (1, 2):
        logger.log_metrics({"val/loss": 1.0, "epoch": epoch})
    logger.log_scores({"test/s2/miou": 0.5})
    finish_wandb("preempted")
    assert [record.levelno for record in caplog.records if record.name.startswith("cromss")] == [logging.WARNING]
    assert "metrics.csv" in caplog.text
    before, after = offline_runs(tmp_path / "run")
    assert set(epochs(before.history) + epochs(after.history)) == {0, 1, 2}
    assert after.run.run_id == (tmp_path / "run" / "wandb-id.txt").read_text()
    assert (after.exit_code, after.is_preempting, after.summary["state"]) == (143, True, "preempted")
    assert after.summary["test/s2/miou"] == 0.5
    # The next run of this process has a W&B again.
    begun(tmp_path / "next")
    finish_wandb("done")
    assert offline_runs(tmp_path / "next")[0].exit_code == 0


def test_a_server_that_cannot_be_reached_means_offline_soon(tmp_path, monkeypatch, caplog):
    online(monkeypatch, "http://127.0.0.1:9")
    logger = begun(tmp_path / "run", init_timeout=1)
    assert "make wandb-sync" in caplog.text
    assert "wandb_init_timeout=1 seconds" in caplog.text
    logger.log_metrics({"val/loss": 2.0, "epoch": 0})
    finish_wandb("done")
    (found,) = offline_runs(tmp_path / "run")
    assert (epochs(found.history), found.exit_code) == ([0], 0)


@pytest.mark.parametrize(("state", "code", "is_preempting"), STATES)
def test_how_a_run_ended_is_reported_online(tmp_path, monkeypatch, state, code, is_preempting):
    with WandbServer() as server:
        online(monkeypatch, server.url)
        begun(tmp_path / "run", job_type="test", entity="ours").log_metrics({"val/loss": 2.0, "epoch": 0})
        finish_wandb(state)
    ((name, run),) = server.runs.items()
    assert (run["entity"], run["jobType"]) == ("ours", "test")
    assert epochs(server.history[name].values()) == [0]
    assert server.streams[name][-1]["complete"]
    assert server.streams[name][-1]["exitcode"] == code
    assert any(said.get("preempting") for said in server.streams[name]) == is_preempting


def test_a_server_that_goes_away_costs_no_more_than_the_timeout(tmp_path, monkeypatch, caplog):
    with WandbServer() as server:
        online(monkeypatch, server.url)
        logger = begun(tmp_path / "run", finish_timeout=1)
    started = time.monotonic()
    logger.log_metrics({"val/loss": 2.0, "epoch": 0})
    finish_wandb("done")
    # Without a limit it would try again for days.
    assert time.monotonic() - started < 60
    assert "wandb_finish_timeout=1 seconds" in caplog.text
    (folder,) = (tmp_path / "run" / "wandb").glob("run-*")
    assert f"wandb sync --include-online {folder}" in caplog.text


def test_make_wandb_sync_uploads_a_run_that_went_on_offline_as_one(tmp_path, monkeypatch):
    run = tmp_path / "outputs" / "sweeps" / "a b" / "prop=0.5"
    for epoch, state in enumerate(["preempted", "done"]):
        begun(run).log_metrics({"val/loss": 2.0, "epoch": epoch})
        finish_wandb(state)
    wandb.teardown()
    empty = run / "wandb" / "offline-run-20200101_000000-killed" / "run-killed.wandb"
    empty.parent.mkdir()
    empty.write_bytes(b":W&B\xe1\xbe\0")
    make = ["make", "--no-print-directory", "-n", "wandb-sync", f"VENV={Path(sys.executable).parents[1]}"]
    command = subprocess.run(make, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
    with WandbServer() as server:
        online(monkeypatch, server.url)
        subprocess.run(command, shell=True, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    ((name, rows),) = server.history.items()
    assert epochs(rows[line] for line in sorted(rows)) == [0, 1]
    assert [said["exitcode"] for said in server.streams[name] if "exitcode" in said] == [143, 0]


def test_pictures_carry_class_names_and_a_legend(tmp_path):
    labels = np.array([[[0, 1], [1, 255]]])
    panels = [Panel("Sentinel-2", "image", np.full((1, 2, 2, 3), 0.5)), Panel("truth", "classes", labels)]
    save_figure(draw_panels(panels, ["water", "trees"], ["#0000ff", "#00ff00"], 1.0), tmp_path / "epoch-003.png")
    logger = begun(tmp_path / "run")
    logger.log_pictures(_wandb_images(panels, ["water", "trees"], tmp_path / "epoch-003.png"), 3)
    finish_wandb("done")
    (found,) = offline_runs(tmp_path / "run")
    (row,) = found.history
    files = tmp_path / "run" / "wandb"
    (picture,) = files.glob(f"offline-run-*/files/{row['panels.path']}")
    assert picture.read_bytes() == (tmp_path / "epoch-003.png").read_bytes()
    (mask,) = files.glob(f"offline-run-*/files/{row['masks.all_masks'][0]['truth']['path']}")
    assert np.array(Image.open(mask)).tolist() == labels[0].tolist()
    (named,) = found.config["_wandb"]["mask/class_labels"].values()
    assert named["value"] == {"0": "water", "1": "trees", "255": "unlabelled"}
    assert row["epoch"] == 3


def test_only_the_first_process_has_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert begun(tmp_path / "run") is None
    assert wandb_folder() is None
    assert not (tmp_path / "run" / "wandb").exists()


@pytest.mark.parametrize("content", [b"", b"../../x", b"a b", b"\xff", b"a" * 2000])
def test_an_id_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "wandb-id.txt").write_bytes(content)
    with pytest.raises(ValueError, match="wandb-id.txt"):
        wandb_run._run_id(tmp_path)
    assert (tmp_path / "wandb-id.txt").read_bytes() == content
