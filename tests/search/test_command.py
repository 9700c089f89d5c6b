"""`python train.py -m hydra/sweeper=optuna`, with trainings."""

import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir
from helpers.entrypoint import SMALL, finish, start

register_resolvers()

SEARCH = ["-m", "hydra/sweeper=optuna", *SMALL, "trainer.epochs=1", "trainer.limit_batches=1", "hydra.sweep.dir=found"]


def composed(*overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("config", ["hydra/sweeper=optuna", *overrides], return_hydra_config=True)


@pytest.mark.parametrize(
    ("overrides", "direction"),
    [
        ([], "minimize"),
        (["dataset.val_fraction=0"], "minimize"),
        (["trainer.monitor=val/s2/miou"], "maximize"),
        (["trainer.test_only=true"], "maximize"),
    ],
)
def test_a_loss_is_minimised_and_a_score_maximised(overrides, direction):
    assert composed(*overrides).hydra.sweeper.direction == direction


def test_the_example_searches_by_the_score_that_it_names():
    cfg = composed("experiments=search_prop")
    assert cfg.hydra.sweeper._target_ == "hydra_plugins.cromss_search.OptunaSweeper"
    assert set(cfg.hydra.sweeper.params) == {"selection.prop", "selection.ramp_epochs"}
    assert cfg.hydra.sweeper.direction == "maximize"


@pytest.mark.slow
def test_a_search_by_the_real_command_resumes_where_it_was_killed(tmp_path):
    arguments = [*SEARCH, "experiments=search_prop", "selection.ramp_epochs=range(1,3)", "hydra.sweeper.n_trials=3"]
    seen = ""
    with start("train.py", *arguments, cwd=tmp_path, cache=tmp_path / "cache") as killed:
        while "Trial 0: " not in seen:
            line = killed.stdout.readline()
            assert line, seen + killed.stderr.read()
            seen += line
        killed.kill()
    (first,) = re.findall(r"Trial 0: (\S+),", seen)

    ended = finish(start("train.py", *arguments, cwd=tmp_path, cache=tmp_path / "cache"), check=True)
    assert "1 of 3 trials are done" in ended.stdout
    assert "Trial 0: " not in ended.stdout
    assert re.findall(r"Trial (\d): ", ended.stdout) == ["1", "2"]
    runs = list((tmp_path / "found").glob("*/run.json"))
    assert len(runs) == 3
    scores = [OmegaConf.load(run).score for run in runs]
    best = OmegaConf.load(tmp_path / "found/optimization_results.yaml")
    assert best.best_value == max(scores)
    assert float(first) in [pytest.approx(score, rel=1e-4) for score in scores]
    assert set(best.best_params) == {"selection.prop", "selection.ramp_epochs"}
