"""A logger on one W&B run that never ends a training, whatever becomes of W&B."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from cromss.trainer.wandb_service import FLUSHED, LOST, end, in_one_line, limits, start

log = logging.getLogger(__name__)


class RunLogger(WandbLogger):
    """Logs to one W&B run. When W&B breaks, a warning says so once, and the training continues.

    At the end, what a broken W&B may not have kept is logged again, and the run gets its true state.

    Args:
        online: Whether to try the server first.
        arguments: Of `wandb.init`.
        init_timeout: Seconds to wait for the server before the run goes offline.
        finish_timeout: Seconds to wait at the end until everything is uploaded.

    Raises:
        wandb.Error: A setting that W&B refuses.
    """

    def __init__(
        self, online: bool, arguments: Mapping[str, Any], *, init_timeout: float, finish_timeout: float
    ) -> None:
        self._start = partial(start, online, arguments, limits(init_timeout, finish_timeout))
        self._run = self._start()
        super().__init__(experiment=self._run, project=arguments["project"], save_dir=arguments["dir"])
        self._is_lost = False
        self._waiting: dict[str, Any] = {}
        self._scores: dict[str, float | str | None] = {}
        self._recent: deque[tuple[float, dict[str, Any]]] = deque()

    @property
    def folder(self) -> Path:
        """Where the run's files lie."""
        return Path(self._run.dir).parent

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Logs the row of an epoch; what names no epoch waits for the row that does, as in the metrics file."""
        self._waiting |= dict(metrics) | ({} if step is None else {"trainer/global_step": step})
        if "epoch" not in metrics:
            return
        values, self._waiting = self._waiting, {}
        now = time.monotonic()
        while not self._is_lost and self._recent and now - self._recent[0][0] > 3 * FLUSHED:
            self._recent.popleft()
        self._recent.append((now, values))
        self._try(lambda run: run.log(values))

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The whole config went to W&B at the start."""

    @rank_zero_only
    def log_pictures(self, pictures: Mapping[str, Any], epoch: int | None = None) -> None:
        """Logs `wandb.Image`s; the same pictures lie in the run's folder."""
        self._try(lambda run: run.log(dict(pictures) | ({} if epoch is None else {"epoch": epoch})))

    @rank_zero_only
    def log_scores(self, scores: Mapping[str, float | str | None]) -> None:
        """Puts values beside the run that belong to no epoch."""
        self._scores |= scores
        self._try(lambda run: run.summary.update(dict(scores)))

    def finish(self, state: str) -> None:
        """Ends the run; never raises.

        Args:
            state: ``"done"``, ``"failed"``, ``"preempted"`` or ``"stopped"``.
        """
        self._try(lambda run: end(run, state))
        if not self._is_lost:
            return
        with suppress(*LOST):
            wandb.teardown()  # the next run of this process gets a W&B that works
        try:
            self._run = self._start()
            for _, values in self._recent:
                self._run.log(values)
            self._run.summary.update(self._scores)
            end(self._run, state)
        except LOST as error:
            log.warning(
                "W&B does not know how this run ended (%s); the run's own metrics.csv is whole", in_one_line(error)
            )
            with suppress(*LOST):
                wandb.teardown()
            wandb.run = None

    def _try(self, action: Callable[[wandb.Run], object]) -> None:
        if self._is_lost:
            return
        try:
            action(self._run)
        except LOST as error:
            self._is_lost = True
            log.warning(
                "W&B stopped working (%s); the run continues, and its own metrics.csv has everything",
                in_one_line(error),
            )
