"""The folder of a run of version 0.1, made by a real sweep: what users do with it by this version.

Of its checkpoints the values of large tensors are zero, so that the archive is small.
"""

import json
import tarfile

import pytest

from cromss.predict.network import load_network
from helpers.entrypoint import ROOT, finish, metrics, start

ARCHIVE = ROOT / "tests" / "golden" / "earlier_run.tar.xz"
TYPED = ["trainer=smoke", "trainer.test=last", "trainer.limit_batches=1"]
TYPED += ["dataset.size=40", "dataset.crop=32", "dataset.locations=12", "seed=1"]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = (tmp_path / "sweep").glob("dataset*")
    return folder


def test_the_same_sweep_finds_it_finished(run, train):
    said = train("-m", *TYPED, "hydra.sweep.dir=sweep").stdout
    assert "#0 finished before, val/loss" in said
    assert "0 of 1 runs failed" in said


def test_it_resumes_with_more_epochs(run, train):
    train(*TYPED, "trainer.epochs=3", "hydra.run.dir='sweep/" + run.name + "'")
    assert [int(row["epoch"]) for row in metrics(run)] == [0, 1, 2]
    assert json.loads((run / "run.json").read_text())["state"] == "done"


def test_its_checkpoint_is_tested(run, train, tmp_path):
    checkpoint = f"trainer.checkpoint='{run}/checkpoints/last.ckpt'"
    train("trainer.test_only=true", checkpoint, "hydra.run.dir=tested")
    found, before = (json.loads((folder / "results.json").read_text()) for folder in (tmp_path / "tested", run))
    assert found["tested"]["locations"] == before["tested"]["locations"]
    assert found["tested"]["epochs"] == 2


def test_its_network_draws_maps(run):
    network = load_network(run / "checkpoints" / "last.ckpt")
    assert network.net.branches == ("s1", "s2")
    assert {modality: len(bands) for modality, bands in network.bands.items()} == {"s1": 2, "s2": 13}


def test_it_is_reported(run, tmp_path, cache):
    said = finish(start("-m", "cromss.report", "runs=sweep", cwd=tmp_path, cache=cache), check=True)
    assert "1 run" in said.stdout
    said = finish(start("-m", "cromss.report", "status=sweep", cwd=tmp_path, cache=cache), check=True)
    assert "1 run: 1 done" in said.stdout
