"""One run, from the config to the summary: data, module, Trainer, fit, test."""

from __future__ import annotations

import difflib
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from omegaconf import DictConfig, OmegaConf

from cromss.atomic import write_file
from cromss.backbone.freeze import leave_out_idle
from cromss.config import check
from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.reader import LocationReader
from cromss.fusion.images import FusionNetwork
from cromss.resolvers import CHECKPOINTS, LAST
from cromss.trainer.confusion import draw_confusion
from cromss.trainer.freezing import FreezeEncoders
from cromss.trainer.lightning_trainer import BEST, Provenance, make_trainer, training_callbacks
from cromss.trainer.module import SegmentationModule
from cromss.trainer.optim import parameter_groups
from cromss.trainer.panels import PanelPictures, save_figure
from cromss.trainer.results import MEANS, RESULTS, results, scores_of, table
from cromss.trainer.resume import check_checkpoint, find_checkpoint, load_checkpoint, load_tested
from cromss.trainer.summary import Summary
from cromss.trainer.wandb_run import finish_wandb

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
    """Trains as the config says, and tests; or tests a checkpoint.

    Args:
        cfg: The composed config.

    Returns:
        For a sweeper, the best value of the monitored metric; of a test alone, the mean IoU.

    Raises:
        ValueError: Settings, data, weights or a checkpoint that do not fit; nothing has been trained or written by then
            but the config itself.
    """
    check(cfg)
    folder = Path(HydraConfig.get().runtime.output_dir)
    L.seed_everything(cfg.seed, workers=True, verbose=False)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return _test_only(cfg, config, folder) if cfg.trainer.test_only else _train(cfg, config, folder)


def _train(cfg: DictConfig, config: dict[str, Any], folder: Path) -> float:
    started = time.monotonic()
    checkpoint = find_checkpoint(cfg.trainer.resume, folder)
    module, data = build(cfg)
    _check_monitors(cfg, module.validation_names() if len(data.val_locations) else [])
    if checkpoint is None:
        reports = instantiate(cfg.backbone.start)(module.net, cfg.dataset.bands)
        weights = [report.summary() for report in reports]
    else:
        # It holds all weights: the file that training started from need not be there any more.
        check_checkpoint(checkpoint, module, config)
        reports, weights = [], load_checkpoint(checkpoint).get("weights", [])
    if cfg.trainer.test is not None:
        data.check_test()
    freeze = FreezeEncoders(instantiate(cfg.backbone.freezing), module)

    try:
        callbacks = [Provenance(config, weights), freeze, *training_callbacks(cfg, folder)]
        trainer = make_trainer(cfg, config, folder, callbacks)
        if trainer.is_global_zero:
            OmegaConf.save(config, folder / "config.yaml")
            _announce(cfg, module, data, checkpoint, folder)
            for report in reports:
                log.info("%s", report)
        trainer.fit(module, data, ckpt_path=checkpoint)
        if cfg.trainer.test is not None:
            tested = folder / CHECKPOINTS / {"last": LAST, "best": BEST}[cfg.trainer.test]
            if cfg.trainer.test == "best":
                load_tested(tested, module, config)
            _test(trainer, module, data, config, weights, tested, folder)
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
            best_checkpoint=folder / CHECKPOINTS / BEST,
            picture=pictures.path(cfg.trainer.epochs - 1),
            results=None if cfg.trainer.test is None else folder / RESULTS,
            wandb=wandb_folder,
            seconds=time.monotonic() - started,
        )
        summary.save(folder / "summary.json")
        log.info("%s", summary.text(module.branches))
    best = next(c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint))
    return float("nan") if best.best_model_score is None else float(best.best_model_score)


def _test_only(cfg: DictConfig, config: dict[str, Any], folder: Path) -> float:
    module, data = build(cfg)
    data.check_test()
    path = Path(str(cfg.trainer.checkpoint)).expanduser()
    weights = load_tested(path, module, config).get("weights", [])
    try:
        trainer = make_trainer(cfg, config, folder, [])
        if trainer.is_global_zero:
            OmegaConf.save(config, folder / "config.yaml")
        scores = _test(trainer, module, data, config, weights, path, folder)
    except SystemExit as end:
        raise (Interrupted(folder) if isinstance(end.__context__, KeyboardInterrupt) else end) from end
    finally:
        finish_wandb()
    log.info("results      %s", folder / RESULTS)
    miou = scores[module.test_branches[-1]]["miou"]
    return float("nan") if miou is None else miou


def _test(
    trainer: L.Trainer,
    module: SegmentationModule,
    data: LocationDataModule,
    config: dict[str, Any],
    weights: Sequence[dict[str, Any]],
    checkpoint: Path,
    folder: Path,
) -> dict[str, Any]:
    """Tests what the module holds, and writes down what was found."""
    trainer.test(module, data, verbose=False)
    # On every process, as confusion matrices are added up over all.
    scores = {branch: scores_of(score, module.classes) for branch, score in module.test_scores.items()}
    if not trainer.is_global_zero:
        return scores
    tested = {"checkpoint": str(checkpoint), "locations": len(data.test_locations)}
    found = results(config, HydraConfig.get().runtime.choices, scores, weights, tested)
    write_file(folder / RESULTS, json.dumps(found, indent=1).encode())
    figure = draw_confusion(scores)
    save_figure(figure, folder / "confusion.png")
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(
                {f"test/{branch}/{name}": values[name] for branch, values in scores.items() for name in MEANS}
            )
            logger.experiment.log({"confusion": wandb.Image(figure)})
    log.info("\n%s", table(scores))
    return scores


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
    leave_out_idle(net)
    smoothing = instantiate(cfg.smoothing)
    data = LocationDataModule(
        instantiate(cfg.dataset.reader),
        _test_reader(cfg),
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
    smallest = instantiate(cfg.backbone.network).smallest
    if data.crop < smallest:
        raise ValueError(
            f"dataset.crop={data.crop} is too small for backbone.decoder={cfg.backbone.decoder}, which needs "
            f"{smallest} px: raise it, or choose another decoder"
        )
    module = SegmentationModule(
        net,
        branches=net.branches,
        smoothing=smoothing,
        selection=instantiate(cfg.selection),
        objective=instantiate(cfg.loss),
        optimizer=_optimizer(cfg, net),
        scheduler=instantiate(cfg.trainer.scheduler),
        classes=cfg.dataset.classes,
        has_truth=data.reader.info.has_truth,
        check_finite_every=cfg.trainer.check_finite_every,
    )
    return module, data


def _test_reader(cfg: DictConfig) -> LocationReader | None:
    """The reader of the test set: that of the training but for some settings; None where these are not given."""
    changes = cfg.dataset.test
    if changes is None or None in changes.values():
        return None
    return instantiate(cfg.dataset.reader, **changes)


def _optimizer(cfg: DictConfig, net: FusionNetwork) -> Callable[[Any], torch.optim.Optimizer]:
    factory = instantiate(cfg.trainer.optimizer)
    settings = cfg.trainer
    groups = parameter_groups(net, settings.optimizer.lr, settings.decoder_rates, settings.decoder_rate_factor)
    return lambda parameters: factory(groups)


def _check_monitors(cfg: DictConfig, logged: list[str]) -> None:
    logged = [*logged, "train/loss"]
    for key in ("trainer.monitor", "trainer.scheduler.monitor"):
        name = OmegaConf.select(cfg, key)
        if name is not None and name not in logged:
            close = difflib.get_close_matches(name, logged) or logged
            raise ValueError(f"{key}={name} is never measured: choose e.g. {', '.join(close[:6])}")


def _announce(
    cfg: DictConfig, module: SegmentationModule, data: LocationDataModule, checkpoint: Path | None, folder: Path
) -> None:
    choices = HydraConfig.get().runtime.choices
    parameters = sum(parameter.numel() for parameter in module.parameters()) / 1e6
    log.info("%s", "  ".join(f"{group}={choices[group]}" for group in ("dataset", "backbone", "fusion")))
    log.info("%s", "  ".join(f"{group}={choices[group]}" for group in ("loss", "selection", "smoothing", "trainer")))
    log.info(
        "%d locations to train on, %d to validate, %d to test; %.1f M parameters; %d epochs; %s",
        len(data.train_locations),
        len(data.val_locations),
        0 if cfg.trainer.test is None else len(data.test_locations),
        parameters,
        cfg.trainer.epochs,
        folder if checkpoint is None else f"goes on from {checkpoint}",
    )
