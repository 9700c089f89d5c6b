"""A search that can be killed at any time: the same command runs the trials that are left.

Its whole state is in the study. A trial that was under way is then run first, with the same settings, so that its run
resumes in its folder; and the next proposals depend only on the trials so far, not on how often the search was started.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from optuna.trial import TrialState

from cromss.config import UserError
from cromss.config.instantiation import instantiate
from cromss.io.atomic import write_file
from cromss.runs.state import states_of
from cromss.search.space import Space
from cromss.search.study import ended_trials, open_study, search_lock
from cromss.sweep.plan import plan

log = logging.getLogger(__name__)

RESULTS = "optimization_results.yaml"
"""In a search's folder: the best settings and their score, as Hydra's Optuna sweeper names it."""


@dataclass(frozen=True)
class _Proposal:
    """A proposed trial: its number in the study, and its settings as key -> value."""

    number: int
    params: Mapping[str, Any]


class OptunaSearch:
    """Proposes settings and learns from their scores.

    Args:
        launcher: Hydra's launcher, set up; it runs a batch.
        sampler: Config of an Optuna sampler that takes a ``seed``.
        direction: ``"minimize"`` or ``"maximize"`` the score.
        storage: URL of the database of the study.
        study_name: Name of the study there.
        n_trials: Trials in all, including those of earlier starts and those that failed.
        n_jobs: Trials of a batch, which are proposed together and may run at once.
        failures_in_a_row: Number of failed trials in a row that ends the search.
        poll_s: Seconds between two checks of runs that other jobs work on.

    `cromss.config.launcher.check_sweeper` has checked all of these.
    """

    def __init__(
        self,
        launcher: Any,
        sampler: DictConfig,
        direction: str,
        storage: str,
        study_name: str,
        n_trials: int,
        n_jobs: int,
        failures_in_a_row: int,
        poll_s: float,
    ) -> None:
        self.launcher, self.sampler, self.direction = launcher, sampler, direction
        self.storage, self.study_name = storage, study_name
        self.n_trials, self.n_jobs, self.failures_in_a_row = n_trials, n_jobs, failures_in_a_row
        self.poll_s = poll_s

    def run(self, space: Space, shared: Sequence[str], folder: Path) -> None:
        """Runs the missing trials, and saves the best.

        Args:
            space: See `read_space`.
            shared: Overrides of all runs.
            folder: The search's.

        Raises:
            UserError: The study there is another one, another process works on it, too many trials failed in a row, or
                all did.
        """
        folder.mkdir(parents=True, exist_ok=True)
        with search_lock(folder):
            study = open_study(self.storage, self.study_name, self.direction, space)
            log.info("%d of %d trials are done (%s)", len(ended_trials(study)), self.n_trials, self.storage)
            unfinished = _unfinished_trials(study, space)
            if unfinished:
                log.info("%d trials were under way when the search ended: they are run first", len(unfinished))
            failures = 0
            while (left := self.n_trials - len(ended_trials(study))) > 0:
                size = min(left, self.n_jobs)
                batch, unfinished = unfinished[:size], unfinished[size:]
                study.sampler = self._sampler(study)
                again = len(batch)
                asked = (study.ask(space) for _ in range(size - again))
                batch += [_Proposal(trial.number, trial.params) for trial in asked]
                jobs = [(*shared, *(f"{key}={trial.params[key]}" for key in space)) for trial in batch]
                self._wait_for(jobs[:again])
                for trial, result in zip(batch, self._launch(jobs, batch[0].number), strict=True):
                    failures = 0 if self._tell(study, trial, result) else failures + 1
                    if failures == self.failures_in_a_row:
                        raise UserError(
                            f"{failures} trials failed in a row, the last one with: {result._return_value}. See their "
                            f"logs in {folder}; if failures are expected, raise hydra.sweeper.failures_in_a_row"
                        )
            self._conclude(study, folder)

    def _sampler(self, study: optuna.Study) -> optuna.samplers.BaseSampler:
        """A sampler with a different seed per batch: with one seed each start would propose the same settings again."""
        seed = self.sampler.seed
        return instantiate(self.sampler, seed=None if seed is None else seed + len(study.get_trials(deepcopy=False)))

    def _wait_for(self, jobs: Sequence[Sequence[str]]) -> None:
        """Waits for jobs of an earlier start: as long as they run, a launcher would skip their runs."""
        if not jobs:
            return
        runs = plan(self.launcher.hydra_context.config_loader, self.launcher.config, jobs, 0)
        said = False
        while busy := [state.detail for state in states_of([run.folder for run in runs]) if state.is_under_way]:
            if not said:
                log.info("Waiting for %s", ", ".join(busy))
            said = True
            time.sleep(self.poll_s)

    def _launch(self, jobs: Sequence[tuple[str, ...]], first: int) -> list[JobReturn]:
        """Settings that are proposed twice are run once."""
        unique = list(dict.fromkeys(jobs))
        results = dict(zip(unique, self.launcher.launch(unique, initial_job_idx=first), strict=True))
        return [results[job] for job in jobs]

    def _tell(self, study: optuna.Study, trial: _Proposal, result: JobReturn) -> bool:
        """Reports a result to the study; returns whether the trial has a score."""
        score = result._return_value if result.status == JobStatus.COMPLETED else None
        if not isinstance(score, int | float) or not math.isfinite(score):
            log.warning("Trial %d failed (%s), and counts as one: %s", trial.number, result._return_value, trial.params)
            study.tell(trial.number, state=TrialState.FAIL)
            return False
        study.tell(trial.number, float(score))
        log.info("Trial %d: %.5g, the best so far %.5g: %s", trial.number, score, study.best_value, trial.params)
        return True

    def _conclude(self, study: optuna.Study, folder: Path) -> None:
        if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            raise UserError(f"All {self.n_trials} trials failed: see their logs in {folder}")
        best = study.best_trial
        found = {"name": "optuna", "best_params": best.params, "best_value": best.value}
        write_file(folder / RESULTS, OmegaConf.to_yaml(OmegaConf.create(found)).encode())
        settings = " ".join(f"{name}={value}" for name, value in best.params.items())
        log.info("Best of %d trials, number %d: %.5g with %s", self.n_trials, best.number, best.value, settings)


def _unfinished_trials(study: optuna.Study, space: Space) -> list[_Proposal]:
    """Trials that were proposed and have not ended."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    for trial in running:
        if trial.params.keys() != space.keys():
            # The search was killed while this trial was proposed.
            study.tell(trial.number, state=TrialState.FAIL)
    return [_Proposal(trial.number, trial.params) for trial in running if trial.params.keys() == space.keys()]
