"""One run, from the config to the summary: data, module, Trainer, fit."""

from __future__ import annotations

import difflib
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from cromss.config import check
from cromss.dataset.datamodule import LocationDataModule
from cromss.resolvers import CHECKPOINTS, LAST
from cromss.trainer.metrics_file import MetricsFile
from cromss.trainer.module import SegmentationModule
from cromss.trainer.optim import better
from cromss.trainer.panels import PanelPictures
from cromss.trainer.resume import SeedEpochs, WholeCheckpoints, check_checkpoint, find_checkpoint
from cromss.trainer.summary import Summary
from cromss.trainer.wandb_run import finish_wandb, wandb_logger

log = logging.getLogger(__name__)

# Which devices there are, and tips: `_announce` says what matters.
for _name in ("lightning.pytorch", "lightning.fabric", "matplotlib"):
    logging.getLogger(_name).setLevel(logging.WARNING)


MISTAKES = (ValueError, OSError, MisconfigurationException, wandb.Error)
"""What a user can cause, and reads as a message without a stack trace."""

VIEW = (
    "bands",
    "season",
    "eval_season",
    "normalisation",
    "crop",
    "flip",
    "rotate",
    "degrees",
    "val_fraction",
    "split_seed",
)
"""Keys of the dataset group that say how patches become batches, whatever the source."""


class ProgressBar(TQDMProgressBar):
    """Lightning's bar with the scores alone: a version number tells nobody anything."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """What stands behind the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class ConfigInCheckpoint(Callback):
    """Puts the resolved config into every checkpoint, under ``config``.

    Args:
        config: Plain dictionaries, lists and numbers, so that the checkpoint loads without running code.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds the config to what is saved."""
        checkpoint["config"] = self.config


class Interrupted(SystemExit):
    """The end of a run by Ctrl-C, with the shell's code for it.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(130)
        if (folder / CHECKPOINTS / LAST).exists():
            log.info("\nStopped. The same command with trainer.resume=auto goes on after the last whole epoch.")
        else:
            log.info("\nStopped within the first epoch: there is nothing to resume.")


def run(cfg: DictConfig) -> float:
    """Trains as the config says.

    Args:
        cfg: The composed config.

    Returns:
        The best value of the monitored metric, for a sweeper.

    Raises:
        ValueError: Settings, data or a checkpoint that do not fit; nothing has been trained or written by then but the
            config itself.
    """
    check(cfg)
    started = time.monotonic()
    folder = Path(HydraConfig.get().runtime.output_dir)
    checkpoint = find_checkpoint(cfg.trainer.resume, folder)
    L.seed_everything(cfg.seed, workers=True, verbose=False)

    module, data = build(cfg)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    _check_monitors(cfg, module.validation_names() if len(data.val_locations) else [])
    if checkpoint is not None:
        check_checkpoint(checkpoint, module, config)

    try:
        trainer = _trainer(cfg, config, folder)
        if trainer.is_global_zero:
            OmegaConf.save(config, folder / "config.yaml")
            _announce(cfg, module, data, checkpoint, folder)
        trainer.fit(module, data, ckpt_path=checkpoint)
    except SystemExit as end:
        # Lightning turns Ctrl-C into an exit of its own; everything but the epoch under way is saved by then.
        raise (Interrupted(folder) if isinstance(end.__context__, KeyboardInterrupt) else end) from end
    finally:
        wandb_folder = finish_wandb()

    if trainer.is_global_zero:
        pictures = next(c for c in trainer.callbacks if isinstance(c, PanelPictures))  # type: ignore[attr-defined]
        summary = Summary(
            metrics=folder / "metrics.csv",
            checkpoint=folder / CHECKPOINTS / LAST,
            best_checkpoint=folder / CHECKPOINTS / "best.ckpt",
            picture=pictures.path(cfg.trainer.epochs - 1),
            wandb=wandb_folder,
            seconds=time.monotonic() - started,
        )
        summary.save(folder / "summary.json")
        log.info("%s", summary.text(module.branches))
    best = next(c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint))
    return float("nan") if best.best_model_score is None else float(best.best_model_score)


def build(cfg: DictConfig) -> tuple[SegmentationModule, LocationDataModule]:
    """Makes what a run trains and what it trains on.

    Args:
        cfg: The composed config, checked.

    Returns:
        The module and the data.

    Raises:
        ValueError: The data do not fit the settings.
    """
    # Convolutions are faster in this layout: by a quarter on CPUs, and tensor cores want it.
    net = instantiate(cfg.fusion).to(memory_format=torch.channels_last)
    smoothing = instantiate(cfg.smoothing)
    data = LocationDataModule(
        instantiate(cfg.dataset.reader),
        modalities=list(net.bands),
        smoothing=smoothing,
        batch_size=cfg.trainer.batch_size,
        workers=cfg.trainer.workers,
        seed=cfg.seed,
        classes=list(cfg.dataset.classes),
        **{name: cfg.dataset[name] for name in VIEW},
    )
    if data.crop % net.required_multiple:
        nearest = max(net.required_multiple, data.crop // net.required_multiple * net.required_multiple)
        raise ValueError(
            f"dataset.crop={data.crop} must be a multiple of {net.required_multiple} for this decoder: say {nearest}"
        )
    module = SegmentationModule(
        net,
        branches=net.branches,
        smoothing=smoothing,
        selection=instantiate(cfg.selection),
        objective=instantiate(cfg.loss),
        optimizer=instantiate(cfg.trainer.optimizer),
        scheduler=instantiate(cfg.trainer.scheduler),
        classes=cfg.dataset.classes,
        has_truth=data.reader.info.has_truth,
        check_finite_every=cfg.trainer.check_finite_every,
    )
    return module, data


def _check_monitors(cfg: DictConfig, logged: list[str]) -> None:
    logged = [*logged, "train/loss"]
    for key in ("trainer.monitor", "trainer.scheduler.monitor"):
        name = OmegaConf.select(cfg, key)
        if name is not None and name not in logged:
            close = difflib.get_close_matches(name, logged) or logged
            raise ValueError(f"{key}={name} is never measured: choose e.g. {', '.join(close[:6])}")


def _trainer(cfg: DictConfig, config: dict[str, Any], folder: Path) -> L.Trainer:
    settings = cfg.trainer
    checkpoints: dict[str, Any] = {
        "dirpath": folder / CHECKPOINTS,
        "auto_insert_metric_name": False,
        "enable_version_counter": False,
        # At the end of an epoch, not of the validation inside it: only there a run resumes exactly.
        "save_on_train_epoch_end": True,
    }
    callbacks: list[Callback] = [
        ConfigInCheckpoint(config),
        SeedEpochs(cfg.seed),
        PanelPictures(
            every=settings.panels_every,
            samples=settings.panel_samples,
            bands=cfg.dataset.bands,
            classes=cfg.dataset.classes,
            colours=cfg.dataset.colours,
            folder=folder / "panels",
        ),
        LearningRateMonitor(logging_interval="epoch"),
        ModelCheckpoint(filename="best", monitor=settings.monitor, mode=better(settings.monitor), **checkpoints),
        ModelCheckpoint(
            filename="epoch-{epoch:03d}", every_n_epochs=settings.checkpoint_every, save_top_k=-1, **checkpoints
        ),
        # After the others, so that it knows what they have saved. `save_last` would follow the best one alone.
        ModelCheckpoint(filename=Path(LAST).stem, monitor="epoch", mode="max", **checkpoints),
    ]
    if settings.progress_bar:
        callbacks.append(ProgressBar())
    loggers: list[Logger] = [MetricsFile(folder / "metrics.csv")]
    loggers += wandb_logger(settings.wandb, settings.wandb_project, folder, config)
    # A read takes a fraction of a millisecond a sample: on a CPU no workers are needed.
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers", PossibleUserWarning)
    # `find_checkpoint` has refused to write over another run's.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    # All that processes share is added up by the metrics of the module, before it is logged.
    warnings.filterwarnings("ignore", "It is recommended to use .*sync_dist=True", PossibleUserWarning)
    # Lightning's own use of torch, which its users cannot change: https://github.com/Lightning-AI/pytorch-lightning
    warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\)", FutureWarning)
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        precision=settings.precision,
        strategy=settings.strategy,
        max_epochs=settings.epochs,
        limit_train_batches=settings.limit_batches,
        limit_val_batches=settings.limit_batches,
        logger=loggers,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        default_root_dir=folder,
        use_distributed_sampler=False,  # the data module's own samplers know rank, epoch and padding
        log_every_n_steps=1,  # nothing is logged within an epoch; this keeps Lightning from saying so
        num_sanity_val_steps=0,  # settings and data are checked before
        enable_model_summary=False,
        enable_progress_bar=settings.progress_bar,
        benchmark=True,
    )


def _announce(
    cfg: DictConfig, module: SegmentationModule, data: LocationDataModule, checkpoint: Path | None, folder: Path
) -> None:
    choices = HydraConfig.get().runtime.choices
    parameters = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    log.info("%s", "  ".join(f"{group}={choices[group]}" for group in ("dataset", "backbone", "fusion")))
    log.info("%s", "  ".join(f"{group}={choices[group]}" for group in ("loss", "selection", "smoothing", "trainer")))
    log.info(
        "%d locations to train on, %d to validate; %.1f M parameters; %d epochs; %s",
        len(data.train_locations),
        len(data.val_locations),
        parameters,
        cfg.trainer.epochs,
        folder if checkpoint is None else f"goes on from {checkpoint}",
    )
