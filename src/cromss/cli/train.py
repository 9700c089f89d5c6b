"""`cromss train`: trains, fine-tunes, tests and sweeps."""

from __future__ import annotations

import logging
import math

import hydra
from omegaconf import DictConfig

from cromss.cli.command import command_line, show_user_errors
from cromss.cli.compose import of_this_process
from cromss.cli.folders import remove_folders_on_failure
from cromss.cli.run import run
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir
from cromss.runs.lock import TakenError
from cromss.sweep.processes import as_single_run

log = logging.getLogger(__name__)

# At import, as a job of a sweep in another process resolves the names of folders without calling `main`.
register_resolvers()


def main() -> None:
    """Composes the config from the command line, then starts the run or the sweep."""
    # During the training, `train_or_test` says more.
    with command_line("train", "Stopped before the training began."), remove_folders_on_failure():
        _train()


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
def _train(cfg: DictConfig) -> float:
    """One run; the return value is for sweepers."""
    with show_user_errors("train"):
        composed = of_this_process(cfg)
        if not composed.in_sweep:
            return run(composed)
        try:
            with as_single_run(composed.folder, composed.overrides):
                return run(composed)
        except TakenError as taken:
            log.info("Skipped: %s", taken)
            return math.nan
