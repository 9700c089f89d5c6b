"""Several processes train one network."""

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
