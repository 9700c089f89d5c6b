"""The real entrypoint of several processes goes on exactly, too."""

import pytest

from helpers.entrypoint import SMALL
from helpers.fits import assert_same_run


@pytest.mark.slow
def test_two_processes_that_go_on_equal_two_that_never_stopped(train, tmp_path):
    settings = [*SMALL, "dataset.locations=20", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp"]
    settings += ["trainer.scheduler.patience=0", "trainer.scheduler.threshold=0.9", "trainer.ramp_epochs=3"]
    train(*settings, "trainer.epochs=3", "hydra.run.dir=whole")
    train(*settings, "trainer.epochs=2", "hydra.run.dir=parts")
    train(*settings, "trainer.epochs=3", "trainer.workers=1", "trainer.resume=auto", "hydra.run.dir=parts")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
