"""Fits in this process, ended where a test says so, as a kill would end them: nothing is saved on the way out."""

import lightning as L
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch.multiprocessing import ProcessRaisedException
from torch.nn.functional import dropout

from cromss.cli.build import build
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir
from cromss.trainer.freezing import FreezeEncoders
from cromss.trainer.lightning_trainer import Provenance, make_trainer, training_callbacks
from cromss.trainer.resume import check_checkpoint, find_checkpoint
from helpers.entrypoint import SMALL, metrics

register_resolvers()


class KilledError(Exception):
    """The end of a fit."""


class Kill(L.Callback):
    """Ends a fit in the step after so many."""

    def __init__(self, steps):
        self.steps = steps

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == self.steps:
            raise KilledError


def fit(folder, cache, *overrides, kill_after=None, plugins=()):
    """Trains in a folder with dropout, going on where something is there; returns the Trainer."""
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        common = [*SMALL, "trainer.progress_bar=false", "trainer.accelerator=cpu", f"dataset.cache={cache}"]
        cfg = compose("config", [*common, *overrides])
    config = OmegaConf.to_container(cfg, resolve=True)
    folder.mkdir(exist_ok=True)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    module, data = build(cfg)
    module.net.register_forward_hook(
        lambda net, images, logits: {branch: dropout(values, 0.2, net.training) for branch, values in logits.items()}
    )
    checkpoint = find_checkpoint("auto", folder)
    if checkpoint is not None:
        check_checkpoint(checkpoint, module, config, own=True)
    callbacks = [Provenance(config, [], []), FreezeEncoders(instantiate(cfg.backbone.freezing), module)]
    trainer = make_trainer(cfg, config, {}, folder, [*callbacks, *training_callbacks(cfg, folder), Kill(kill_after)])
    for plugin in plugins:
        trainer.strategy.precision_plugin = plugin
    try:
        trainer.fit(module, data, ckpt_path=checkpoint)
    except (KilledError, ProcessRaisedException) as end:
        if kill_after is None or "KilledError" not in repr(end) + str(end):
            raise
    return trainer


def assert_same_run(one, other):
    """Weights, optimisers and the metrics file of two folders are equal to the last bit."""
    ends = [torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (one, other)]
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "MixedPrecision", "epoch", "global_step"):
        assert_equal(*(end.get(key) for end in ends), key)
    assert metrics(one) == metrics(other)


def assert_equal(one, other, name):
    assert type(one) is type(other), name
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), name
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), name
        for key in one:
            assert_equal(one[key], other[key], f"{name}.{key}")
    elif isinstance(one, list):
        assert len(one) == len(other), name
        for number, pair in enumerate(zip(one, other, strict=True)):
            assert_equal(*pair, f"{name}.{number}")
    else:
        assert one == other, name
