"""The Lightning Trainer of a run: callbacks, loggers, hardware."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import Logger
from lightning.pytorch.profilers import AdvancedProfiler, PyTorchProfiler, SimpleProfiler
from omegaconf import DictConfig

from cromss.config.resolvers import better
from cromss.runs.names import BEST, CHECKPOINTS, LAST, METRICS, PANELS, PREDICTIONS
from cromss.trainer.checkpoint_file import STEP, AtomicCheckpointIO, MovableCheckpoint
from cromss.trainer.loggers import RunInfo, build_parts
from cromss.trainer.metrics_file import MetricsFile
from cromss.trainer.mid_epoch import MetricsBeforeCheckpoint, MidEpochState, SeedEveryStep, StepCheckpoint
from cromss.trainer.panels import PanelPictures
from cromss.trainer.prediction_files import PredictionFiles


class ProgressBar(TQDMProgressBar):
    """Lightning's progress bar, with scores and without the version number."""

    def get_metrics(self, trainer: L.Trainer, pl_module: L.LightningModule) -> dict[str, Any]:
        """The text behind the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


class Provenance(Callback):
    """Saves in every checkpoint the config, overrides and weights that it was trained with.

    All of it plain dictionaries, lists and numbers, so that the checkpoint loads without running code.

    Args:
        config: The resolved config.
        overrides: The overrides of the command line, which compose the same config.
        weights: A description of each part that training started from, see `cromss.weights.LoadReport`.
    """

    def __init__(self, config: dict[str, Any], overrides: Sequence[str], weights: Sequence[dict[str, Any]]) -> None:
        self.config = config
        self.overrides = list(overrides)
        self.weights = list(weights)

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds them to what is saved."""
        checkpoint["config"] = self.config
        checkpoint["overrides"] = self.overrides
        checkpoint["weights"] = self.weights


def training_callbacks(cfg: DictConfig, folder: Path) -> list[Callback]:
    """The callbacks of a training: seeds, pictures, learning rates and checkpoints."""
    settings = cfg.trainer
    checkpoints: dict[str, Any] = {
        "dirpath": folder / CHECKPOINTS,
        "auto_insert_metric_name": False,
        "enable_version_counter": False,
        # At the end of the epoch, not of its validation, as a run resumes exactly only from there.
        "save_on_train_epoch_end": True,
    }
    return [
        SeedEveryStep(cfg.seed),
        PanelPictures(
            every=settings.panels_every,
            samples=settings.panel_samples,
            bands=cfg.dataset.bands,
            classes=cfg.dataset.classes,
            colours=cfg.dataset.colours,
            folder=folder / PANELS,
        ),
        LearningRateMonitor(logging_interval="epoch"),
        MetricsBeforeCheckpoint(),
        MidEpochState(),
        *_step_checkpoint(settings.checkpoint_steps, folder),
        MovableCheckpoint(
            filename=Path(BEST).stem, monitor=settings.monitor, mode=better(settings.monitor), **checkpoints
        ),
        MovableCheckpoint(
            filename="epoch-{epoch:03d}", every_n_epochs=settings.checkpoint_every, save_top_k=-1, **checkpoints
        ),
        # After the others, so that it stores their state. `save_last` would only follow the best one.
        MovableCheckpoint(filename=Path(LAST).stem, monitor="epoch", mode="max", **checkpoints),
    ]


def make_trainer(
    cfg: DictConfig,
    config: dict[str, Any],
    choices: Mapping[str, str],
    folder: Path,
    callbacks: Sequence[Callback],
) -> L.Trainer:
    """Makes a Trainer that trains or tests.

    Args:
        cfg: The composed config.
        config: The same, resolved.
        choices: Group -> chosen option.
        folder: The run's folder.
        callbacks: Callbacks beside the progress bar and the files of predictions.
    """
    settings = cfg.trainer
    run = RunInfo(folder, config, choices)
    # First, so that the project's own callbacks see whether one ends the training, and save their state.
    callbacks = [*build_parts("callbacks", cfg.callbacks, run, Callback), *callbacks]
    if settings.predictions != "none":
        folder_of_maps = folder / PREDICTIONS
        callbacks.append(
            PredictionFiles(folder_of_maps, settings.predictions, cfg.dataset.classes, cfg.dataset.colours)
        )
    if settings.progress_bar:
        callbacks.append(ProgressBar())
    own: list[Logger] = build_parts("logger", cfg.logger, run, Logger)  # type: ignore[type-abstract]
    loggers = [MetricsFile(folder / METRICS), *own]
    # A read takes a fraction of a millisecond per sample: on a CPU no workers are needed.
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers", PossibleUserWarning)
    # `find_checkpoint` has refused to write over another run's.
    warnings.filterwarnings("ignore", "Checkpoint directory .* exists and is not empty")
    # The metrics of the module sum over all processes before they are logged.
    warnings.filterwarnings("ignore", "It is recommended to use .*sync_dist=True", PossibleUserWarning)
    # The samplers of the data module make sure that no sample is counted twice.
    warnings.filterwarnings("ignore", "Using `DistributedSampler` with the dataloaders", PossibleUserWarning)
    # This is for single runs on a cluster; jobs of `hydra/launcher=slurm` are started by srun.
    warnings.filterwarnings("ignore", "The `srun` command is available", PossibleUserWarning)
    # Lightning's own use of torch, which its users cannot change: https://github.com/Lightning-AI/pytorch-lightning
    warnings.filterwarnings("ignore", ".*isinstance\\(treespec, LeafSpec\\)", FutureWarning)
    return L.Trainer(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        precision=settings.precision,
        strategy=_strategy(cfg),
        sync_batchnorm=settings.sync_batchnorm,
        max_epochs=settings.epochs,
        limit_train_batches=settings.limit_batches,
        limit_val_batches=settings.limit_batches if cfg.dataset.val_fraction else 0,
        logger=loggers,
        callbacks=callbacks,
        plugins=[AtomicCheckpointIO(), *_cluster()],
        # Under Slurm, Lightning resumes from any hpc_ckpt_*.ckpt in this folder, unasked and before `trainer.resume`.
        # This folder stays empty and need not exist; all other files of Lightning have a folder of their own.
        default_root_dir=os.devnull,
        use_distributed_sampler=False,  # the data module's own samplers know rank, epoch and padding
        log_every_n_steps=1,  # nothing is logged within an epoch; this avoids a warning of Lightning
        num_sanity_val_steps=0,  # settings and data are checked before
        enable_model_summary=False,
        enable_progress_bar=settings.progress_bar,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        **_further(settings.lightning, folder),
    )


def _further(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Further arguments of the Trainer from the settings."""
    given = {name: value for name, value in settings.items() if value is not None}
    if kind := given.get("profiler"):
        profilers = {"simple": SimpleProfiler, "advanced": AdvancedProfiler, "pytorch": PyTorchProfiler}
        given["profiler"] = profilers[kind](dirpath=folder, filename="profile")
    return {"benchmark": True} | given


def _step_checkpoint(every: int | None, folder: Path) -> list[Callback]:
    return [] if every is None else [StepCheckpoint(every, folder / CHECKPOINTS / STEP)]


def _cluster() -> list[SLURMEnvironment]:
    """Under Slurm, an environment that leaves signals and restarts to the launcher."""
    # torchrun can run inside Slurm, and then assigns the ranks.
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return []
    return [SLURMEnvironment(auto_requeue=False)]


def _strategy(cfg: DictConfig) -> str:
    """The strategy; ddp looks for weights without gradient in each step where the encoder is unfrozen later."""
    settings = cfg.trainer
    # For several processes, Lightning also turns auto into ddp.
    is_ddp = settings.strategy == "ddp" or (
        settings.strategy == "auto" and (settings.devices != 1 or settings.num_nodes > 1)
    )
    is_unfrozen_later = cfg.backbone.freeze_epochs is not None
    return "ddp_find_unused_parameters_true" if is_unfrozen_later and is_ddp else settings.strategy
