"""One run: its config is checked, its folder is locked, and then the slow libraries are loaded.

From Python, e.g. in a notebook::

    from cromss.cli.compose import compose_config
    from cromss.cli.run import run

    run(compose_config(["trainer=smoke"]), folder="outputs/smoke")
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cromss.cli.compose import Composed
from cromss.cli.folders import make_folder, remove_folders_on_failure
from cromss.config import UserError, check
from cromss.io.redact import redact
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
    if missing := list(_missing_paths(composed)):
        raise UserError("\n".join(missing))
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


def _missing_paths(composed: Composed) -> Iterator[str]:
    """One sentence for each input path that does not exist; the code that reads them checks the rest."""
    keys = {
        "trainer.checkpoint": "give the path of a checkpoint",
        "trainer.resume": "give the path of a checkpoint, or auto",
        "backbone.weights_path": "give the path of a file with weights, or its address",
    }
    # The settings of a custom reader may mean anything.
    if str(OmegaConf.select(composed.cfg, "dataset.reader._target_")).startswith("cromss."):
        cure = "give what `cromss prepare` wrote, or the data as published"
        keys |= {f"dataset.{name}": cure for name in ("path", "train_path", "test_path")}
    for key, cure in keys.items():
        for name, value in _leaves(key, OmegaConf.select(composed.cfg, key)):
            is_path = isinstance(value, str | int) and str(value) != "auto" and "://" not in str(value)
            if is_path and not Path(str(value)).expanduser().exists():
                yield f"{name}={redact(str(value))} does not exist: {cure}"


def _leaves(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield f"{key}.{name}", child
    else:
        yield key, value
