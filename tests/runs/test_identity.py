"""One list says what makes two runs the same; here its views are held against each other."""

import copy

import pytest
from omegaconf import OmegaConf

from cromss.config.resolvers import run_name
from cromss.runs.identity import config_hash, differing_settings, identity, kind_of, leaves
from helpers.composing import composed

# Key: which views ask for the same value: folder's name, experiment, score, training that resumes, test of it.
VIEWS = {
    "selection.prop": "named compared scored learned tested",
    "trainer.optimizer.lr": "named compared scored learned tested restored",
    "seed": "named scored learned tested",
    "weights_folder": "named tested",
    "dataset.cache": "named",
    "trainer.devices": "named learned",
    "trainer.workers": "",
    "trainer.resume": "",
    "trainer.panels_every": "",
    "trainer.checkpoint_every": "",
    "trainer.checkpoint": "named scored",
    "trainer.test_only": "named scored",
    "trainer.epochs": "named compared tested",
    "trainer.test": "named compared scored tested",
    "dataset.evaluate": "named compared scored tested",
    "backbone.weights": "named compared scored tested",
    "backbone.weights_path": "named tested",
}


@pytest.fixture(scope="module")
def config():
    return OmegaConf.to_container(composed(), resolve=True)


def changed(config, key):
    config = copy.deepcopy(config)
    *groups, name = key.split(".")
    node = config
    for group in groups:
        node = node[group]
    assert name in node
    node[name] = "other"
    return config


@pytest.mark.parametrize(("key", "views"), VIEWS.items())
def test_the_views_of_a_setting_agree(config, key, views):
    other = changed(config, key)
    seen = {
        "named": run_name(f"{key}=other") != "defaults",
        "compared": config_hash(other) != config_hash(config),
        "scored": identity(other) != identity(config),
        "learned": bool(differing_settings(config, other)),
        "tested": kind_of(key).tested,
        "restored": kind_of(key).restored,
    }
    assert {view for view, differs in seen.items() if differs} == set(views.split())


def test_a_key_stands_for_all_below_it_and_for_nothing_beside_it():
    assert kind_of("backbone.weights_path.s1") is kind_of("dataset.path")
    assert kind_of("trainer.optimizer.lr").restored
    assert not kind_of("trainer.optimizers").restored
    assert kind_of("trainer.test_only") is not kind_of("trainer.test")


def test_only_the_seed_of_the_repeats_of_an_experiment_differs(config):
    said = dict(leaves(config))
    assert {key for key in said if not kind_of(key).compared and kind_of(key).scored} == {
        "seed",
        "trainer.checkpoint",
        "trainer.test_only",
    }
