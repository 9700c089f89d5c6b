"""Several processes train one network."""

import json
import math

import pytest

from helpers.entrypoint import SMALL, metrics

TWO = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp"]


def assert_same_rows(folder, names):
    one, two = (metrics(folder / name) for name in ("one", "two"))
    assert len(one) == len(two)
    for first, second in zip(one, two, strict=True):
        compared = [name for name in first if name.startswith(names)]
        assert len(compared) > 20
        for name in compared:
            values = float(first[name] or "nan"), float(second[name] or "nan")
            # A pixel that lies between two classes may fall to either.
            closeness = {"rel_tol": 1e-5} if "loss" in name else {"abs_tol": 2e-3}
            assert math.isclose(*values, **closeness) or all(map(math.isnan, values)), (first["epoch"], name, values)


def test_two_processes_train_as_one_does_with_batches_twice_as_large(train, tmp_path):
    # Batch norm sees what its own process sees: here it is fixed, or not there. SGD, since Adam makes whole steps of
    # gradients that are nothing but rounding. An odd number of locations to validate: one process has padding.
    small = [*SMALL, "dataset.val_fraction=0.4", "trainer.epochs=2", "trainer.limit_batches=null"]
    small += ["backbone.freeze=frozen", "backbone.decoder_norm=identity", "trainer/optimizer=sgd"]
    train(*small, "trainer.batch_size=2", "hydra.run.dir=one")
    said = train(*small, *TWO, "trainer.batch_size=1", "hydra.run.dir=two")
    assert_same_rows(tmp_path, ("train/", "val/"))
    # Each says its words once.
    assert said.stdout.count("locations to train on") == 1


@pytest.mark.slow
def test_two_processes_fine_tune_a_network_with_idle_weights_that_is_unfrozen_and_test_it_as_one_does(train, tmp_path):
    # Five tiles to test: one process has a sample more than the other.
    small = ["dataset=synthetic_exact", "dataset.size=40", "dataset.crop=32", "dataset.locations=6"]
    small += ["dataset.test_locations=5", "trainer=finetune", "trainer.batch_size=2", "trainer.workers=0"]
    small += ["trainer.wandb=disabled", "backbone=resnet18", "backbone.decoder=pspnet"]
    unfreezes = ["backbone.freeze=frozen", "backbone.freeze_epochs=1", "trainer.epochs=2"]
    # Without a word of the strategy: Lightning then takes the same.
    train(*small, *TWO[:2], *unfreezes, "hydra.run.dir=two")
    train(*small, "trainer.test_only=true", "trainer.checkpoint=two/checkpoints/last.ckpt", "hydra.run.dir=one")
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert one["scores"] == two["scores"]
    assert sum(map(sum, one["scores"]["s2"]["confusion"])) == 5 * 40 * 40
