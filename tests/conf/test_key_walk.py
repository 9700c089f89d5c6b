"""Every key of every option with odd values: taken by the schema and by what is built of it, or one sentence."""

import math
import warnings

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from cromss.config import UserError, check
from cromss.dataset.augment import RandomGeometry
from cromss.paths import config_dir
from cromss.resolvers import register_resolvers

register_resolvers()

ODD = {
    "-1": -1,
    "0": 0,
    "1": 1,
    "2.5": 2.5,
    "1e30": 1e30,
    "-1e30": -1e30,
    "nan": math.nan,
    "inf": math.inf,
    "huge": 10**30,
    "huger": 10**5000,
    "text": "abc",
    "empty": "",
    "blank": " ",
    "null": None,
    "true": True,
    "false": False,
    "list": [1, 2],
    "no list": [],
    "names": ["a", "a"],
    "nested": [[1]],
    "mapping": {"a": 1},
    "no mapping": {},
    "number as text": "1",
    "unicode": "水 ☃ é",
    "NUL": "a\0b",
    "surrogate": "\udc80",
    "long": "x" * 5000,
}
OPTIONS = {
    "default": [],
    "nol": ["dataset=nol", "dataset.path=x"],
    "dw": ["dataset=dw", "dataset.train_path=x", "trainer=finetune", "trainer/optimizer=sgd"],
    "dfc2020": ["dataset=dfc2020", "dataset.train_path=x", "trainer=smoke", "trainer/scheduler=cosine"],
    "folder": ["dataset=folder", "dataset.path=x", "trainer=pretrain", "trainer/scheduler=step"],
    "exact": ["dataset=synthetic_exact", "trainer=finetune", "trainer/scheduler=none", "smoothing=uniform"],
    "uniform": ["smoothing=uniform", "trainer/hardware=gpu", "trainer/scheduler=plateau", "fusion=late"],
    "row": ["experiments=osm_s2_moco-13b", "dataset.train_path=x"],
    "early": ["fusion=early", "selection=none", "loss.consistency=none"],
}


def composed(*overrides):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("config", [*overrides, "++trainer.accelerator=cpu"])


def keys_of(node, prefix=""):
    for name in node:
        key = f"{prefix}{name}"
        yield key
        if OmegaConf.is_dict(node._get_node(name)) and not OmegaConf.is_interpolation(node, name):
            yield from keys_of(node[name], f"{key}.")


def is_repeated(key):
    """All biomes have the same keys, and so have all rows of the confusion; parts refer to the keys of their group."""
    if key.startswith(("backbone.start.", "backbone.freezing.", "backbone.network.")):
        return True
    inside = key.partition("biomes.")[2] or key.partition("confusion.")[2]
    return inside and not inside.startswith(("arid", "trees"))


def build_cheap_parts(cfg):
    """What costs nothing to build takes what the schema takes."""
    for key in ("selection", "smoothing", "loss", "backbone.network", "backbone.start", "backbone.freezing"):
        instantiate(OmegaConf.select(cfg, key))
    optimizer = instantiate(cfg.trainer.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    instantiate(cfg.trainer.scheduler)(optimizer)
    RandomGeometry(32, cfg.dataset.flip, cfg.dataset.rotate, cfg.dataset.degrees)


def attempt(cfg, key, value):
    """Whether the value is taken; AssertionError where it is refused without naming the key."""
    parent, _, name = key.rpartition(".")
    changed = cfg.copy()
    OmegaConf.set_struct(changed, False)
    node = OmegaConf.select(changed, parent) if parent else changed
    node[name] = value
    try:
        check(changed, devices=False)
    except UserError as error:
        # A table of rates is refused as a whole where its rows do not add up.
        if key not in str(error) and parent not in str(error).replace(f"{parent}.", ""):
            raise AssertionError(f"the key is not named: {error}") from error
        return False
    build_cheap_parts(changed)
    return True


def walk(cfg, keys, values):
    taken = refused = 0
    wrong = []
    for key in keys:
        for name, value in values.items():
            try:
                if attempt(cfg, key, value):
                    taken += 1
                else:
                    refused += 1
            except Exception as error:  # noqa: BLE001  # what comes is the finding
                wrong.append(f"{key}={name}: {type(error).__name__}: {str(error)[:300]}")
    return taken, refused, wrong


def test_a_sample_of_odd_values_is_refused_by_name():
    cfg = composed()
    values = {name: ODD[name] for name in ("nan", "text", "null", "list")}
    keys = ["seed", "weights_folder", "dataset.crop", "dataset.bands", "selection.prop", "trainer.scheduler.gamma"]
    taken, refused, wrong = walk(cfg, keys, values)
    assert wrong == []
    assert (taken, refused) == (1, 23)  # a folder may be called abc


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_key_of_every_option_takes_an_odd_value_or_names_itself(capsys):
    seen = set()
    taken = refused = 0
    wrong = []
    for overrides in OPTIONS.values():
        cfg = composed(*overrides)
        keys = [key for key in keys_of(cfg) if key not in seen and not is_repeated(key)]
        seen.update(keys)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a long text may be no good name of a file
            more_taken, more_refused, more_wrong = walk(cfg, keys, ODD)
        taken, refused, wrong = taken + more_taken, refused + more_refused, wrong + more_wrong
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{len(seen)} keys, {len(ODD)} values: {taken} accepted, {refused} refused, {len(wrong)} wrong"
        )
    assert wrong == []
    assert len(seen) > 250
