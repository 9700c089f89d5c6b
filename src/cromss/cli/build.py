"""Builds the module and the data of a run from its config."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from cromss.config.instantiation import instantiate
from cromss.dataset.augment import HALVINGS
from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.reader import LocationReader
from cromss.fusion import FusionNetwork, freeze_unused
from cromss.trainer.module import SegmentationModule
from cromss.trainer.optim import parameter_groups

VIEW = (
    "bands",
    "season",
    "eval_season",
    "normalisation",
    "statistics",
    "crop",
    "validate",
    "evaluate",
    "flip",
    "rotate",
    "degrees",
    "val_fraction",
    "split_seed",
    "train_samples",
    "samples_seed",
)
"""Keys of the dataset group that say how patches become batches, whatever the source."""


def build(cfg: DictConfig) -> tuple[SegmentationModule, LocationDataModule]:
    """Builds the module and the data of a run.

    Args:
        cfg: The composed config, checked.

    Returns:
        The module and the data.

    Raises:
        ValueError: The data do not fit the settings.
    """
    # Convolutions are faster in this layout: by a quarter on CPUs, and tensor cores need it.
    net = instantiate(cfg.fusion).to(memory_format=torch.channels_last)
    freeze_unused(net)
    data = LocationDataModule(
        instantiate(cfg.dataset.reader),
        _test_reader(cfg),
        modalities=list(net.bands),
        smoothing=instantiate(cfg.smoothing),
        batch_size=cfg.trainer.batch_size,
        workers=cfg.trainer.workers,
        seed=cfg.seed,
        classes=list(cfg.dataset.classes),
        **{name: cfg.dataset[name] for name in VIEW},
    )
    multiple, smallest = net.backbone.required_multiple, net.backbone.smallest
    if data.crop % multiple:
        nearest = max(multiple, data.crop // multiple * multiple)
        raise ValueError(f"dataset.crop={data.crop} must be a multiple of {multiple} for this decoder: set {nearest}")
    if data.crop < smallest:
        raise ValueError(
            f"dataset.crop={data.crop} is too small for backbone.decoder={cfg.backbone.decoder}, which needs "
            f"{smallest} px: raise it, or choose another decoder"
        )
    tested = -(-min(data.test_reader.info.size) // HALVINGS) * HALVINGS
    if len(data.test_locations) and cfg.dataset.evaluate == "whole" and tested < smallest:
        raise ValueError(
            f"the tiles to test on are {tested} px with their padding, too small for "
            f"backbone.decoder={cfg.backbone.decoder}, which needs {smallest} px: choose another decoder"
        )
    if not cfg.trainer.test_only and min(cfg.trainer.batch_size, len(data.train_locations)) == 1:
        _check_single_samples(cfg, net, data.crop)
    module = SegmentationModule(
        net,
        selection=instantiate(cfg.selection),
        objective=instantiate(cfg.loss),
        optimizer=_optimizer(cfg, net),
        scheduler=instantiate(cfg.trainer.scheduler),
        classes=cfg.dataset.classes,
        has_truth=data.reader.info.has_truth,
        check_finite_every=cfg.trainer.check_finite_every,
    )
    return module, data


def _check_single_samples(cfg: DictConfig, net: FusionNetwork, crop: int) -> None:
    """ValueError where a batch norm gets one value per channel, from batches of one sample: it has no variance."""
    # On the device "meta" only shapes are computed.
    copied = copy.deepcopy(net).to("meta").train()
    for encoder in copied.encoders():
        encoder.train(cfg.backbone.freeze != "frozen" or cfg.backbone.freeze_epochs is not None)
    try:
        copied({modality: torch.zeros(1, bands, crop, crop, device="meta") for modality, bands in net.bands.items()})
    except ValueError as error:
        raise ValueError(
            f"batches of one sample of dataset.crop={crop} px are too little for the batch norm of "
            f"backbone.encoder={cfg.backbone.encoder}, backbone.decoder={cfg.backbone.decoder} ({error}): raise "
            "trainer.batch_size, or dataset.train_samples where that is 1; or choose backbone.decoder=unet and a "
            "larger crop"
        ) from error


def _test_reader(cfg: DictConfig) -> LocationReader | None:
    """The reader of the test set: that of the training with some settings replaced; None without such settings."""
    changes = cfg.dataset.test
    if changes is None or None in changes.values():
        return None
    return instantiate(cfg.dataset.reader, **changes)


def _optimizer(cfg: DictConfig, net: FusionNetwork) -> Callable[[Any], torch.optim.Optimizer]:
    factory = instantiate(cfg.trainer.optimizer)
    settings = cfg.trainer
    groups = parameter_groups(net, settings.optimizer.lr, settings.decoder_rates, settings.decoder_rate_factor)
    return lambda parameters: factory(groups)


def check_monitors(cfg: DictConfig, logged: list[str]) -> None:
    """ValueError where the config monitors a metric that is never logged."""
    logged = [*logged, "train/loss"]
    own = [f"callbacks.{name}.monitor" for name in cfg.callbacks]
    for key in ("trainer.monitor", "trainer.scheduler.monitor", *own):
        name = OmegaConf.select(cfg, key)
        if name is not None and name not in logged:
            close = difflib.get_close_matches(name, logged) or logged
            raise ValueError(f"{key}={name} is never measured: choose e.g. {', '.join(close[:6])}")
