"""What the settings of a search may be."""

import math

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cromss.config import UserError
from cromss.config.launcher import check_sweeper
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir
from helpers.entrypoint import SMALL, finish, start

register_resolvers()

ODD = [0, -1, 1.5, math.nan, True, "abc", "", [1, 2], {"a": 1}, 10**30]
# What may be a number, text or anything of the user's own.
LOOSE = {"storage": ["abc"], "study_name": ["abc"], "poll_s": [1.5], "params": [{"a": 1}]}


def settings(sampler="tpe"):
    overrides = ["hydra/sweeper=optuna", f"hydra/sweeper/sampler={sampler}", "hydra.sweep.dir=found"]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("config", overrides, return_hydra_config=True)
    return OmegaConf.to_container(cfg.hydra.sweeper, resolve=True)


@pytest.mark.parametrize("sampler", ["tpe", "random", "cmaes", "nsgaii"])
def test_the_defaults_pass(sampler):
    check_sweeper(settings(sampler))


def test_a_sampler_for_several_scores_is_refused():
    good = settings()
    with pytest.raises(UserError, match="set hydra/sweeper/sampler to tpe, random, cmaes or nsgaii"):
        check_sweeper(good | {"sampler": good["sampler"] | {"_target_": "optuna.samplers.GridSampler"}})


def test_odd_values_of_each_key_are_refused_in_one_sentence_that_names_it():
    good = settings()
    for key in set(good) - {"_target_", "_recursive_"}:
        for odd in ODD:
            if odd in LOOSE.get(key, []):
                continue
            with pytest.raises(UserError, match=f"hydra.sweeper.{key}") as error:
                check_sweeper(good | {key: odd})
            assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("sampler", "key", "value"),
    [
        ("tpe", "seed", -1),
        ("tpe", "n_startup_trials", -1),
        ("tpe", "n_ei_candidates", 0),
        ("cmaes", "sigma0", -1.0),
        ("nsgaii", "population_size", 0),
        ("nsgaii", "crossover_prob", 2.0),
    ],
)
def test_a_sampler_takes_what_it_can_search_with(sampler, key, value):
    good = settings(sampler)
    with pytest.raises(UserError, match=f"hydra.sweeper.sampler.{key}={value} must be"):
        check_sweeper(good | {"sampler": good["sampler"] | {key: value}})


def test_a_search_ends_in_one_sentence_before_anything_starts(tmp_path):
    odd = ["hydra.sweeper.n_trials=abc", "hydra.sweeper.n_jobs=0", "selection.prop=interval(0.1,0.9)"]
    arguments = ["-m", "hydra/sweeper=optuna", *SMALL, *odd, "hydra.sweep.dir=found"]
    ended = finish(start("train.py", *arguments, cwd=tmp_path, cache=tmp_path / "cache"), check=False)
    assert ended.returncode == 1
    first, *sentences = ended.stderr.splitlines()
    assert first == "This search cannot start:"
    assert len(sentences) == 2
    assert "hydra.sweeper.n_trials=abc must be" in ended.stderr
    assert "hydra.sweeper.n_jobs=0 must be" in ended.stderr
    assert not {path.name for path in tmp_path.rglob("*")} & {"study.db", "run.json", "checkpoints"}
