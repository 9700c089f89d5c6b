"""A run from its config to its summary: data, module, Trainer, fit, test."""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
import wandb
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

from cromss.cli.build import build, check_monitors
from cromss.cli.compose import Composed
from cromss.config import check
from cromss.config.instantiation import instantiate
from cromss.dataset.datamodule import LocationDataModule
from cromss.io.atomic import write_file
from cromss.io.logs import open_run_log
from cromss.plotting import draw_confusion, save_figure
from cromss.runs.config import save_settings
from cromss.runs.job import rank
from cromss.runs.names import BEST, CHECKPOINTS, LAST, METRICS, RESULTS, SUMMARY
from cromss.runs.record import new_record
from cromss.runs.recording import Recording, recorded
from cromss.runs.results import MEANS
from cromss.trainer.checkpoint_file import STEP, MovableCheckpoint, remove_partials
from cromss.trainer.freezing import FreezeEncoders
from cromss.trainer.lightning_trainer import Provenance, make_trainer, training_callbacks
from cromss.trainer.module import SegmentationModule
from cromss.trainer.panels import PanelPictures
from cromss.trainer.results import results, scored_part, scores_of, table
from cromss.trainer.resume import check_checkpoint, find_checkpoint, load_tested
from cromss.trainer.summary import Summary
from cromss.trainer.training_state import check_restorable, statistics
from cromss.trainer.wandb_logger import RunLogger
from cromss.trainer.wandb_run import closing_wandb, wandb_folder

log = logging.getLogger(__name__)

# Lightning logs devices and tips; `_announce` logs what matters.
for _name in ("lightning.pytorch", "lightning.fabric", "matplotlib"):
    logging.getLogger(_name).setLevel(logging.WARNING)


MISTAKES = (ValueError, OSError, MisconfigurationException, wandb.Error)
"""Errors that a user can cause, which are shown as a message without a stack trace."""


class Interrupted(SystemExit):
    """The end of a run by Ctrl-C, with the shell's code for it.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(130)
        if any((folder / CHECKPOINTS / name).exists() for name in (LAST, STEP)):
            log.info("\nStopped. The same command resumes from the last checkpoint.")
        else:
            log.info("\nStopped within the first epoch: the same command starts from the beginning.")


class Preempted(SystemExit):
    """The end of a run that a scheduler asked for, with the code of SIGTERM: code 0 would count as finished."""

    def __init__(self) -> None:
        super().__init__(128 + signal.SIGTERM)


def train_or_test(composed: Composed, folder: Path) -> float:
    """Trains and tests, or tests a checkpoint, in a folder that this process holds; see `cromss.cli.run.run`."""
    run_log = folder / f"{composed.hydra.job.name}.log"
    begun = new_record(folder, composed.resolved, overrides=composed.stored_overrides, choices=composed.choices)
    # W&B last: it can be slow, and a scheduler that ends a run may not wait for it.
    with closing_wandb(), recorded(begun, folder, lambda: open_run_log(run_log)) as recording:
        # Devices last, so that a job of a sweep without them is recorded as failed.
        check(composed.cfg)
        L.seed_everything(composed.cfg.seed, workers=True, verbose=False)
        recording.score = (_test_only if composed.cfg.trainer.test_only else _train)(composed, folder, recording)
    return recording.score


def _named(end: SystemExit, folder: Path) -> SystemExit:
    """The exception that names why a run was ended; all but the current epoch is saved by then."""
    if isinstance(end, SIGTERMException):
        return Preempted()
    # Lightning turns Ctrl-C into an exit code of its own.
    return Interrupted(folder) if isinstance(end.__context__, KeyboardInterrupt) else end


def _train(composed: Composed, folder: Path, recording: Recording) -> float:
    started = time.monotonic()
    cfg, config = composed.cfg, composed.resolved
    checkpoint = find_checkpoint(cfg.trainer.resume, folder)
    module, data = build(cfg)
    check_monitors(cfg, module.validation_names() if len(data.val_locations) else [])
    if checkpoint is None:
        reports = instantiate(cfg.backbone.start)(module.net, cfg.dataset.bands)
        weights = [report.summary() for report in reports]
    else:
        # The checkpoint has all weights, so the file that the training started from may be gone.
        reports = []
        resumed = check_checkpoint(checkpoint, module, config, own=cfg.trainer.resume == "auto")
        check_restorable(checkpoint, resumed, module)
        weights = resumed.weights()
    if cfg.trainer.test is not None:
        data.check_test()
    freeze = FreezeEncoders(instantiate(cfg.backbone.freezing), module)

    try:
        callbacks = [Provenance(config, composed.stored_overrides, weights), freeze, *training_callbacks(cfg, folder)]
        recording.mark_begun()
        if rank() == 0:
            remove_partials(folder)
        trainer = make_trainer(cfg, config, composed.choices, folder, callbacks)
        if trainer.is_global_zero:
            _save_settings(composed, folder)
            _announce(composed, module, data, checkpoint, folder)
            for report in reports:
                log.info("%s", report)
                for key, seen in (("normalisation", report.normalisation), ("statistics", report.statistics)):
                    if seen not in (None, cfg.dataset[key]):
                        log.warning(
                            "These weights saw images of dataset.%s=%s, and now see %s: a frozen encoder cannot adapt "
                            "to that",
                            key,
                            seen,
                            cfg.dataset[key],
                        )
        trainer.fit(module, data, ckpt_path=checkpoint)
        if cfg.trainer.test is not None:
            tested = folder / CHECKPOINTS / {"last": LAST, "best": BEST}[cfg.trainer.test]
            epochs = trainer.current_epoch
            if cfg.trainer.test == "best":
                epochs = load_tested(tested, module, config).epoch + 1
            _test(trainer, module, data, composed, weights, {"checkpoint": str(tested), "epochs": epochs}, folder)
    except SystemExit as end:
        raise _named(end, folder) from end

    if trainer.is_global_zero:
        pictures = next(c for c in trainer.callbacks if isinstance(c, PanelPictures))  # type: ignore[attr-defined]
        summary = Summary(
            metrics=folder / METRICS,
            checkpoint=folder / CHECKPOINTS / LAST,
            best_checkpoint=folder / CHECKPOINTS / BEST,
            picture=pictures.path(trainer.current_epoch - 1),
            results=None if cfg.trainer.test is None else folder / RESULTS,
            wandb=wandb_folder(),
            seconds=time.monotonic() - started,
        )
        summary.save(folder / SUMMARY)
        log.info("%s", summary.text(module.branches))
    best = next(c for c in trainer.checkpoint_callbacks if isinstance(c, MovableCheckpoint))
    return float("nan") if best.best_model_score is None else float(best.best_model_score)


def _test_only(composed: Composed, folder: Path, recording: Recording) -> float:
    cfg, config = composed.cfg, composed.resolved
    module, data = build(cfg)
    data.check_test()
    path = Path(str(cfg.trainer.checkpoint)).expanduser()
    checkpoint = load_tested(path, module, config)
    data.load_state_dict(statistics(checkpoint.content).as_dict())
    weights, tested = checkpoint.weights(), {"checkpoint": str(path), "epochs": checkpoint.epoch + 1}
    try:
        recording.mark_begun()
        trainer = make_trainer(cfg, config, composed.choices, folder, [])
        if trainer.is_global_zero:
            _save_settings(composed, folder)
        scores = _test(trainer, module, data, composed, weights, tested, folder)
    except SystemExit as end:
        raise _named(end, folder) from end
    log.info("results      %s", folder / RESULTS)
    miou = scores[module.test_branches[-1]]["miou"]
    return float("nan") if miou is None else miou


def _test(
    trainer: L.Trainer,
    module: SegmentationModule,
    data: LocationDataModule,
    composed: Composed,
    weights: Sequence[dict[str, Any]],
    tested: Mapping[str, Any],
    folder: Path,
) -> dict[str, Any]:
    """Tests the module as it is, and saves the results."""
    trainer.test(module, data, verbose=False)
    # On every process, as confusion matrices are summed over all.
    scores = {branch: scores_of(score, module.classes) for branch, score in module.test_scores.items()}
    if not trainer.is_global_zero:
        return scores
    there = data.test_pixels
    seasons = data.test_reader.info.seasons
    part = scored_part(scores, there.labelled, there.ignored, data.evaluate, data.eval_season, seasons)
    counted = {**tested, "locations": len(data.test_locations), **part}
    found = results(composed.resolved, composed.choices, scores, weights, counted)
    write_file(folder / RESULTS, json.dumps(found, indent=1).encode())
    figure = draw_confusion(scores)
    save_figure(figure, folder / "confusion.png")
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger):
            logger.log_scores(
                {f"test/{branch}/{name}": values[name] for branch, values in scores.items() for name in MEANS}
                | {f"test/scored/{name}": value for name, value in part.items()}
            )
            logger.log_pictures({"confusion": wandb.Image(figure)})
    log.info("\n%s", table(scores, part))
    return scores


def _save_settings(composed: Composed, folder: Path) -> None:
    save_settings(folder, composed.resolved, composed.cfg, composed.hydra, composed.overrides)


def _announce(
    composed: Composed, module: SegmentationModule, data: LocationDataModule, checkpoint: Path | None, folder: Path
) -> None:
    cfg, choices = composed.cfg, composed.choices
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
        folder if checkpoint is None else f"resumes from {checkpoint}",
    )
