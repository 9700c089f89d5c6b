"""Several processes train one network."""

import json
import math

from entrypoint import SMALL, metrics

TWO = ["trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp"]


def test_two_processes_report_what_one_does(train, tmp_path):
    # A network that never changes, so that only the way of counting could make a difference. Batches of one, since Dice
    # is not the mean of its batches.
    frozen = [*SMALL, "trainer.batch_size=1", "dataset.val_fraction=0.4", "trainer.epochs=1", "trainer.optimizer.lr=0"]
    frozen += ["backbone.batch_norm_momentum=1e-12", "trainer.optimizer.weight_decay=0", "trainer.limit_batches=null"]
    train(*frozen, "hydra.run.dir=one")
    said = train(*frozen, *TWO, "hydra.run.dir=two")
    one, two = (metrics(tmp_path / name)[-1] for name in ("one", "two"))
    compared = [name for name in one if name.startswith("val/")]
    assert len(compared) > 20
    for name in compared:
        values = float(one[name] or "nan"), float(two[name] or "nan")
        assert values[0] == values[1] or math.isclose(*values, rel_tol=1e-5) or all(map(math.isnan, values)), name
    # Each says its words once.
    assert said.stdout.count("locations to train on") == 1


def test_two_processes_fine_tune_a_network_with_idle_weights_that_thaws_and_test_it_as_one_does(train, tmp_path):
    # Five tiles to test: one process has a sample more than the other.
    small = ["dataset=synthetic_exact", "dataset.size=40", "dataset.crop=32", "dataset.locations=6"]
    small += ["dataset.test_locations=5", "trainer=finetune", "trainer.batch_size=2", "trainer.workers=0"]
    small += ["trainer.wandb=disabled", "backbone=resnet18", "backbone.decoder=pspnet"]
    thaws = ["backbone.freeze=frozen", "backbone.freeze_epochs=1", "trainer.epochs=2"]
    # Without a word of the strategy: Lightning then takes the same.
    train(*small, *TWO[:2], *thaws, "hydra.run.dir=two")
    train(*small, "trainer.test_only=true", "trainer.checkpoint=two/checkpoints/last.ckpt", "hydra.run.dir=one")
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("one", "two"))
    assert one["scores"] == two["scores"]
    assert sum(map(sum, one["scores"]["s2"]["confusion"])) == 5 * 40 * 40
