"""Every key of every option with odd values: taken by the schema and by what is built of it, or one sentence."""

import math
import re
import warnings
from contextlib import contextmanager

import pytest
import torch
from omegaconf import OmegaConf

from cromss.config import UserError, check
from cromss.config.instantiation import instantiate
from cromss.dataset.augment import RandomGeometry
from helpers.composing import composed

CPU = "++trainer.accelerator=cpu"
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
LONGEST = 1500
"""Characters of a message: a few lines on a screen, with the names of all choices."""

OPTIONS = {
    "default": [],
    "nol": ["dataset=nol", "dataset.path=x"],
    "dw": ["dataset=dw", "dataset.train_path=x", "trainer=finetune", "trainer/optimizer=sgd"],
    "dfc2020": ["dataset=dfc2020", "dataset.train_path=x", "trainer=smoke", "trainer/scheduler=cosine"],
    "folder": ["dataset=folder", "dataset.path=x", "trainer=pretrain", "trainer/scheduler=step"],
    "exact": ["dataset=synthetic_exact", "trainer=finetune", "trainer/scheduler=none", "smoothing=uniform"],
    "uniform": ["smoothing=uniform", "trainer/hardware=gpu", "trainer/scheduler=plateau", "fusion=late"],
    "row": ["experiments=osm", "init=s2-13b-moco", "dataset.train_path=x"],
    "early": ["fusion=early", "selection=none", "loss.consistency=none"],
}


def keys_of(node, prefix=""):
    """Each key, and by what its node is described: a key of the same name under another class is another one."""
    for name in node:
        key = f"{prefix}{name}"
        yield key, str(node.get("_target_") if "_target_" in node else OmegaConf.select(node, "reader._target_"))
        if OmegaConf.is_dict(node._get_node(name)) and not OmegaConf.is_interpolation(node, name):
            yield from keys_of(node[name], f"{key}.")


def build_cheap_parts(cfg):
    """What costs nothing to build takes what the schema takes."""
    for key in ("selection", "smoothing", "loss", "backbone.network", "backbone.start", "backbone.freezing"):
        instantiate(OmegaConf.select(cfg, key))
    optimizer = instantiate(cfg.trainer.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    instantiate(cfg.trainer.scheduler)(optimizer)
    RandomGeometry(32, cfg.dataset.flip, cfg.dataset.rotate, cfg.dataset.degrees)


@contextmanager
def changed(cfg, key, value):
    """The config with another value of a key, without composing one; gives the key that it referred to, if any."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, parent) if parent else cfg
    content = node._content
    before = content.pop(name)  # a node may be changed in place
    reference = re.fullmatch(r"\$\{([\w.]+)\}", str(before._value()))
    node[name] = value
    try:
        yield reference[1] if reference else key
    finally:
        content[name] = before


def is_taken(cfg, key, value):
    """Whether the value is taken; AssertionError where it is refused in other than one sentence that names the key."""
    with changed(cfg, key, value) as referred:
        try:
            check(cfg, devices=False)
        except UserError as error:
            first, *sentences = str(error).splitlines()
            assert first == "This run cannot start:"
            assert len(sentences) == 1, "several sentences"
            # Arguments of a part stand for keys of its group, which the part's own messages name.
            assert key in sentences[0] or referred in sentences[0], "the key is not named"
            assert len(sentences[0]) < LONGEST, "a long sentence"
            return False
        build_cheap_parts(cfg)
        return True


def walk(cfg, keys, values):
    OmegaConf.set_struct(cfg, False)
    taken = refused = 0
    wrong = []
    for key in keys:
        for name, value in values.items():
            try:
                if is_taken(cfg, key, value):
                    taken += 1
                else:
                    refused += 1
            except Exception as error:  # noqa: BLE001  # what comes is the finding
                cause = error.__context__ if isinstance(error, AssertionError) and error.__context__ else ""
                wrong.append(f"{key}={name}: {type(error).__name__}: {str(error)[:300]} {str(cause)[:600]}")
    return taken, refused, wrong


def test_a_sample_of_odd_values_is_refused_by_name():
    values = {name: ODD[name] for name in ("nan", "text", "null", "list")}
    keys = ["seed", "weights_folder", "dataset.crop", "dataset.bands", "selection.prop", "trainer.scheduler.gamma"]
    taken, refused, wrong = walk(composed(CPU), keys, values)
    assert wrong == []
    assert (taken, refused) == (1, 23)  # a folder may be called abc


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_every_key_of_every_option_takes_an_odd_value_or_names_itself(capsys):
    seen = set()
    taken = refused = 0
    wrong = []
    for overrides in OPTIONS.values():
        cfg = composed(*overrides, CPU)
        found = [key for key in keys_of(cfg) if key not in seen]
        seen.update(found)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a long text may be no good name of a file
            more_taken, more_refused, more_wrong = walk(cfg, [key for key, _ in found], ODD)
        taken, refused, wrong = taken + more_taken, refused + more_refused, wrong + more_wrong
    with capsys.disabled():
        print(  # noqa: T201
            f"\n{len(seen)} keys, {len(ODD)} values: {taken} accepted, {refused} refused, {len(wrong)} wrong"
        )
    assert wrong == []
    assert len(seen) > 400
