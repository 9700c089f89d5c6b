"""`cromss train`: trains, fine-tunes, tests and sweeps."""

from __future__ import annotations

import logging
import math
import sys
from contextlib import nullcontext

import hydra
from omegaconf import DictConfig

from cromss.cli.command import explain_interrupt, one_sentence, prepare_arguments, show_user_errors
from cromss.cli.compose import of_this_process, unknown_key
from cromss.cli.folders import remove_folders_on_failure
from cromss.cli.run import run
from cromss.config import UserError
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir
from cromss.runs.lock import TakenError
from cromss.sweep.processes import as_single_run

log = logging.getLogger(__name__)

# At import, as a job of a sweep in another process resolves the names of folders without calling `main`.
register_resolvers()


def main() -> None:
    """Composes the config from the command line, then starts the run or the sweep."""
    with (
        # During the training, `train_or_test` says more.
        explain_interrupt("Stopped before the training began."),
        one_sentence(lambda key: unknown_key(key, sys.argv[1:])),
        remove_folders_on_failure(),
    ):
        prepare_arguments("train")
        _train()


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
def _train(cfg: DictConfig) -> float:
    """One run; the return value is for sweepers."""
    with show_user_errors():
        composed = of_this_process(cfg)
        single = as_single_run(composed.folder, composed.overrides) if composed.in_sweep else nullcontext()
        try:
            with single:
                return run(composed)
        except TakenError as taken:
            if composed.in_sweep:
                log.info("Skipped: %s", taken)
                return math.nan
            raise UserError(str(taken)) from taken
        except (ValueError, OSError) as error:
            raise UserError(str(error)) from error
