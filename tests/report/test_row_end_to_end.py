"""A row of the paper as a user repeats it, on small files: train, test, report."""

import json
import shutil
import sys

import pytest
import torch

from cromss.cli.report import main as report
from cromss.cli.train import main as train
from helpers.entrypoint import latest
from helpers.published import FILES, published_lmdbs
from helpers.weights_files import published

LMDB = published_lmdbs() / FILES["dfc2020"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to work in; emptied afterwards, as checkpoints are large and pytest keeps them."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for path in tmp_path.iterdir():
        shutil.rmtree(path)


def call(program, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["program", *latest(arguments)])
    program()


def test_a_row_is_trained_tested_and_reported(here, monkeypatch, capsys):
    weights = here / "weights"
    weights.mkdir()
    state = published("mid_13B_resnet50", weights / "cromss-mid-13b.ckpt", whole=True)
    # As the command of a whole table does, but for a pattern that one row alone matches.
    row = [
        "-m",
        "experiments=dfc2020",
        "init=glob(s2-13b-cromss-mid*)",
        "backbone.freeze=reference",
        "seed=1",
    ]
    data = [f"dataset.train_path={LMDB}", f"dataset.test_path={LMDB}"]
    quick = ["trainer.epochs=1", "trainer.batch_size=2", "trainer.workers=0", "trainer/hardware=cpu"]
    quiet = ["trainer.wandb=disabled", "trainer.progress_bar=false"]
    call(train, monkeypatch, *row, *data, *quick, *quiet)

    (file,) = here.glob("outputs/sweeps/*/*/results.json")
    found = json.loads(file.read_text())
    assert found["row"] == {"table": "dfc2020", "input": "s2", "weights": "cromss-mid-13b"}
    assert (found["decoder"], found["freeze"], found["weights"][0]["loaded"]) == ("pspnet", "reference", 318)

    trained = torch.load(file.parent / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    kept = {name for name in trained if name in state and torch.equal(trained[name], state[name])}
    # The weights of the encoder are those of the file, its statistics drift.
    assert {"net.encoder.conv1.weight", "net.encoder.bn1.weight", "net.encoder.layer2.3.conv3.weight"} <= kept
    assert not {"net.encoder.bn1.running_mean", "net.encoder.layer2.3.bn3.running_var"} & kept

    capsys.readouterr()
    call(report, monkeypatch, "table=dfc2020")
    text = capsys.readouterr().out
    _, frozen = text.split("S2, frozen")
    lines = [line.split() for line in frozen.splitlines()]
    ours = lines[1 + [line[:2] for line in lines].index(["resnet50", "cromss-mid-13b"])]
    scores = found["scores"]["s2"]
    difference = f"{100 * scores['miou'] - 42.52:+.2f}"
    percents = [f"{100 * scores[name]:.2f}" for name in ("oa", "aa", "miou", "mf1")]
    assert ours == ["ours", *percents, difference, "1", "seed,", "E1"]
    assert "1 run read in outputs: 1 of rows of the paper" in text
    assert "89 of 90 runs missing." in text
    assert f"E1: tested on {found['tested']['locations']} locations, the paper on 5128: not to be compared." in text
