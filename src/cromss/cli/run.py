"""One run: its config is checked, its folder is locked, and then the slow libraries are loaded.

From Python, e.g. in a notebook::

    from cromss.cli.compose import compose_config
    from cromss.cli.run import run

    run(compose_config(["trainer=smoke"]), folder="outputs/smoke")
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cromss.cli.command import check_exist
from cromss.cli.compose import Composed
from cromss.cli.folders import make_folder, remove_folders_on_failure
from cromss.config import UserError, check
from cromss.runs.lock import hold
from cromss.runs.record import check_free, finished_record

log = logging.getLogger(__name__)


def run(composed: Composed, folder: str | Path | None = None) -> float:
    """Trains as the config says, and tests; or tests a checkpoint.

    Args:
        composed: See `cromss.cli.compose.compose_config`.
        folder: Folder of the run; None takes that of the config, below ``outputs/``.

    Returns:
        For a sweeper, the best value of the monitored metric; of a test alone, the mean IoU. NaN where nothing was
        measured.

    Raises:
        UserError: Settings, data, weights or a checkpoint do not fit, a `ValueError`; the folder is then unchanged,
            and a new one is removed.
        TakenError: Another process writes the folder.
    """
    folder = composed.folder if folder is None else Path(folder)
    check_exist(_paths(composed.cfg))
    if composed.cfg.trainer.test_only is True and composed.cfg.trainer.checkpoint is not None:
        # Imported late: it loads torch.
        from cromss.cli.recompose import as_trained

        composed = as_trained(composed)
    check(composed.cfg, devices=False, overrides=[] if composed.in_sweep else composed.overrides)
    with remove_folders_on_failure():
        make_folder(folder)
        with hold(folder):
            resumes = composed.cfg.trainer.resume == "auto"
            if resumes and (record := finished_record(folder, composed.resolved)) is not None:
                log.info("%s is finished: %s %s", folder, record.monitor, record.score)
                return math.nan if record.score is None else record.score
            check_free(folder, composed.resolved)
            from cromss.cli.training import MISTAKES, train_or_test

            try:
                return train_or_test(composed, folder)
            except MISTAKES as error:
                log.debug("The run ended with an error", exc_info=True)
                raise UserError(str(error)) from error


def _paths(cfg: DictConfig) -> dict[str, Any]:
    """Input paths of a run; the code that reads them checks the rest."""
    keys = ["trainer.checkpoint", "trainer.resume", "backbone.weights_path"]
    # The settings of a custom reader may mean anything.
    if str(OmegaConf.select(cfg, "dataset.reader._target_")).startswith("cromss."):
        keys += [f"dataset.{name}" for name in ("path", "train_path", "test_path")]
    paths = {key: OmegaConf.select(cfg, key) for key in keys}
    return paths | ({"trainer.resume": None} if paths["trainer.resume"] == "auto" else {})
