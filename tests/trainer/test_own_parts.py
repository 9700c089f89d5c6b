"""Callbacks, loggers and flags of Lightning that the command line adds, through the real entrypoint."""

import csv
import importlib.util

import pytest

from cromss.config import UserError, check
from helpers.composing import composed
from helpers.entrypoint import SMALL, finish, metrics, start
from helpers.fits import fit

OWN = """
from lightning.pytorch import Callback


class Count(Callback):
    def __init__(self, name: str) -> None:
        self.name = name

    def on_train_epoch_end(self, trainer, pl_module):
        with open(self.name, "a") as file:
            file.write(f"{trainer.current_epoch} {trainer.gradient_clip_val}\\n")
"""


def test_early_stopping_an_own_callback_and_loggers_accompany_a_run(tmp_path, cache):
    (tmp_path / "mine.py").write_text(OWN)
    common = [*SMALL, "trainer.epochs=6", "trainer.accelerator=cpu", "hydra.run.dir=run", "logger=[csv,tensorboard]"]
    if importlib.util.find_spec("tensorboard") is None:
        common[-1] = "logger=csv"
    # No loss falls by a million: the second epoch without a better value is the last one.
    stop = [
        "callbacks=early_stopping",
        "callbacks.early_stopping.min_delta=1000000",
        "callbacks.early_stopping.patience=2",
    ]
    own = ["+callbacks.mine={_target_: mine.Count, name: count.txt}", "trainer.lightning.gradient_clip_val=0.5"]
    finish(start("train.py", *common, *stop, *own, cwd=tmp_path, cache=cache), check=True)
    run = tmp_path / "run"
    assert [row["epoch"] for row in metrics(run)] == ["0", "1", "2"]
    assert (tmp_path / "count.txt").read_text() == "0 0.5\n1 0.5\n2 0.5\n"
    # The last epoch is drawn and kept, as at the planned end.
    assert (run / "panels" / "epoch-002.png").is_file()
    with (run / "csv" / "metrics.csv").open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file) if row["val/loss"]] == ["0", "1", "2"]
    if "tensorboard" in common[-1]:
        assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert not (run / "wandb").exists()


def test_early_stopping_counts_on_where_a_run_resumes(tmp_path):
    cache = tmp_path / "cache"
    stop = [f"callbacks.early_stopping.{setting}" for setting in ("min_delta=1000000", "patience=2")]
    settings = ["trainer.epochs=6", "callbacks=early_stopping", *stop]
    fit(tmp_path / "cut", cache, *settings, kill_after=10)  # in the third of six epochs of 4 steps
    assert len(metrics(tmp_path / "cut")) == 2
    fit(tmp_path / "cut", cache, *settings)
    assert [row["epoch"] for row in metrics(tmp_path / "cut")] == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["+callbacks.mine={x: 1}"], "callbacks.mine={x: 1} must be keys with values, among them _target_"),
        (["+callbacks.mine=3"], "callbacks.mine=3 must be keys with values"),
        (["+callbacks.mine={_target_: nowhere.Mine}"], "callbacks.mine._target_=nowhere.Mine cannot be imported"),
        (
            ["callbacks=early_stopping", "callbacks.early_stopping.patience=soon"],
            "patience=soon must be a whole number",
        ),
        (["callbacks=early_stopping", "+callbacks.early_stopping.pateince=3"], "did you mean .*patience"),
        (["trainer.lightning.gradient_clip_val=-1"], "trainer.lightning.gradient_clip_val=-1 must be"),
        (["+trainer.lightning.max_epochs=3"], "There is no key trainer.lightning.max_epochs"),
        (["trainer.lightning.profiler=fast"], "trainer.lightning.profiler=fast must be one of"),
    ],
)
def test_a_part_that_does_not_fit_names_its_key(overrides, words):
    with pytest.raises(UserError, match=words):
        check(composed(*overrides))


def test_a_package_that_is_missing_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for name in ("tensorboard", "mlflow"):
        with pytest.raises(UserError, match=f"needs the package {name}, .*: pip install {name}"):
            check(composed(f"logger=[wandb,{name}]"))
