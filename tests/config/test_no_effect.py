"""A setting of the method changes the loss of a batch, or is refused as having no effect: one of the two."""

import itertools

import pytest
import torch
from omegaconf import OmegaConf

from cromss.config.inert import without_effect, without_effect_in_sweep
from cromss.config.instantiation import instantiate
from cromss.config.reading import Reading
from helpers.composing import composed

CHANGES = {
    "selection.confidence": ("entropy", "gini"),
    "selection.entangle": (True, False),
    "selection.class_balanced": (True, False),
    "selection.ramp": ("exp", "linear"),
    "selection.ramp_epochs": (4, 9),
    "trainer.ramp_epochs": (5, 8),
    "loss.consistency": ("ce", "mse"),
    "loss.consistency_weight": (1.0, 2.0),
}
COMBINATIONS = list(itertools.product((0.0, 0.5, 1.0), ("exp", "none"), ("ce", "none"), (0.0, 1.0)))
# Each half holds each pair of values.
HALVES = [
    [c for c in COMBINATIONS if (c[0] == 0.5) ^ (c[1] == "exp") ^ (c[2] == "ce") ^ (c[3] == 1) == h] for h in (0, 1)
]


@pytest.fixture(scope="module")
def default():
    return composed()


def losses(cfg):
    """Of the same batch in several epochs."""
    drawn = torch.Generator().manual_seed(0)
    logits = {name: torch.randn(2, 9, 8, 8, generator=drawn) for name in ("s1", "s2")}
    labels = torch.randint(0, 9, (2, 8, 8), generator=drawn)
    labels[:, 0] = 255
    selection, objective = instantiate(cfg.selection), instantiate(cfg.loss)
    return [float(objective(logits, labels, selection(logits, labels, epoch)).total) for epoch in (0, 2, 30)]


@pytest.mark.parametrize("half", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("key", CHANGES)
def test_what_changes_no_loss_is_refused_and_nothing_else(default, key, half):
    for prop, ramp, consistency, weight in HALVES[half]:
        cfg = default.copy()
        settings = {"selection.prop": prop, "selection.ramp": ramp, "loss.consistency": consistency}
        for name, value in (settings | {"loss.consistency_weight": weight}).items():
            if name != key:
                OmegaConf.update(cfg, name, value)
        found, refused = [], []
        for value in CHANGES[key]:
            OmegaConf.update(cfg, key, value)
            found.append(losses(cfg))
            refused.append(bool(without_effect(Reading.of(cfg), [f"{key}={value}"])))
        assert refused == [found[0] == found[1]] * 2, (key, prop, ramp, consistency, weight)


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["dataset.degrees=0", "dataset.rotate=0.5"], "dataset.rotate"),
        (["dataset.noise=0", "dataset.noise_rates.lost=0.1"], "dataset.noise_rates.lost"),
        (["dataset=folder", "dataset.path=x", "dataset.files.s1=null", "dataset.units.s1=db"], "dataset.units.s1"),
        (["dataset=synthetic_exact", "dataset.noise=0.5"], "dataset.noise"),
        (["weights_folder=x"], "weights_folder"),
    ],
)
def test_a_setting_without_effect_is_named(overrides, key):
    (inert,) = without_effect(Reading.of(composed(*overrides)), overrides)
    assert inert.key == key
    assert inert.is_ablation


@pytest.mark.parametrize(
    ("common", "key", "values"),
    [
        ([], "dataset.modality", ["s1", "s2"]),
        (["dataset=nol", "dataset.path=x"], "dataset.evaluate", ["centre", "whole"]),
        (["dataset=nol", "dataset.path=x"], "dataset.test_path", ["a", "b"]),
        (["trainer/hardware=gpu", "trainer.accelerator=gpu"], "trainer.sync_batchnorm", ["true", "false"]),
        ([], "selection.scope", ["global", "batch"]),
        ([], "weights_folder", ["a", "b"]),
        (["backbone.freeze=frozen"], "backbone.freeze_epochs", ["98", "99"]),
    ],
)
def test_runs_of_a_sweep_that_would_be_the_same_are_refused(common, key, values):
    runs = []
    for value in values:
        overrides = [*common, f"{key}={value}"]
        runs.append((Reading.of(composed(*overrides)), overrides))
    (sentence,) = without_effect_in_sweep(runs)
    assert sentence.startswith(f"{key}={values[0]} has no effect")


def test_the_folder_of_published_weights_counts_where_a_row_of_the_paper_starts_from_it():
    overrides = ["experiments=dw", "init=s2-13b-moco", "dataset.train_path=x", "weights_folder=files"]
    assert without_effect(Reading.of(composed(*overrides)), overrides) == []
