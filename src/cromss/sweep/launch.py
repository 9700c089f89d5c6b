"""Launches a sweep: runs that are finished or under way are left alone, the others start or resume."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, configure_log, filter_overrides, run_job, setup_globals

from cromss.runs.config import save_sweep_settings
from cromss.runs.lock import one_at_a_time
from cromss.runs.names import check_no_links
from cromss.runs.record import finished
from cromss.runs.state import RunState, states_of
from cromss.sweep.plan import Overrides, PlannedRun, plan, save_plan, with_number

log = logging.getLogger(__name__)

Results = Mapping[int, JobReturn]
"""Number of a run -> what came of it."""

Start = Callable[[Sequence[PlannedRun]], Callable[[], Results]]
"""Hands runs over; what it returns waits for them."""


def launch(launcher: Any, start: Start, jobs: Sequence[Overrides], first: int) -> list[JobReturn]:
    """Runs what is missing of a sweep.

    Args:
        launcher: Hydra's, set up.
        start: How its runs start.
        jobs: Overrides of each run.
        first: Number of the first one.

    Returns:
        One result per job, in their order: of a run that is left to another job the score is NaN.

    Raises:
        UserError: The sweep cannot start.
        LinkError: A folder of it holds a link that would be written through.
    """
    setup_globals()
    config = launcher.config
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    runs = plan(launcher.hydra_context.config_loader, config, jobs, first)
    folder = Path(str(config.hydra.sweep.dir))
    folder.mkdir(parents=True, exist_ok=True)
    check_no_links(folder)
    save_sweep_settings(folder, config)
    save_plan(folder, runs)
    with one_at_a_time(folder):
        states = states_of([run.folder for run in runs])
        results = {run.number: told for run, state in zip(runs, states, strict=True) if (told := settle(run, state))}
        missing = [run for run in runs if run.number not in results]
        for run in missing:
            check_no_links(run.folder)
        wait = start(missing) if missing else dict
    results |= wait()
    _conclude(folder, runs, results)
    return [_as_told(results[run.number]) for run in runs]


class _Told(JobReturn):
    """The result of a run that failed, which `_conclude` has logged.

    Hydra asks for the value of every run, and would report the error again, in lines of its own.
    """

    @property
    def return_value(self) -> Any:
        raise SystemExit(1)

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


def _as_told(result: JobReturn) -> JobReturn:
    if not isinstance(result._return_value, Exception) or os.environ.get("HYDRA_FULL_ERROR") == "1":
        return result
    return _Told(overrides=result.overrides, status=result.status, _return_value=result._return_value)


def settle(run: PlannedRun, state: RunState) -> JobReturn | None:
    """The result of a run that is not to be started, which is said; None where it is to be.

    Args:
        run: One of the sweep.
        state: What became of it before.
    """
    if state.is_under_way:
        log.info("#%d left alone, %s (%s): %s", run.number, state.state, state.detail, run.text)
        return completed(run, math.nan)
    if run.config is not None and run.config["trainer"]["resume"] == "auto":
        # A test is composed of what its checkpoint was trained with, which the run itself reads and compares.
        record = state.record if run.config["trainer"]["test_only"] else finished(run.folder, run.config)
        if record is not None and record.state == "done":
            log.info("#%d finished before, %s: %s", run.number, state.detail, run.text)
            return completed(run, record.score)
    said = {"missing": "starts", "failed": "is repeated", "done": "starts again"}.get(state.state, "resumes")
    log.info("#%d %s: %s", run.number, said, run.text)
    return None


def completed(run: PlannedRun, score: float | None) -> JobReturn:
    """What Hydra is told of a run with a score."""
    return JobReturn(
        overrides=list(filter_overrides(run.overrides)),
        status=JobStatus.COMPLETED,
        _return_value=math.nan if score is None else score,
    )


def start_one_by_one(launcher: Any, runs: Sequence[PlannedRun]) -> Callable[[], Results]:
    """What runs a sweep in this process once it is called, one run after the other.

    Args:
        launcher: Hydra's, set up.
        runs: In their order.
    """

    def one(run: PlannedRun) -> JobReturn:
        cfg = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(run.overrides))
        with_number(cfg, run.number)
        done = run_job(
            hydra_context=launcher.hydra_context,
            task_function=launcher.task_function,
            config=cfg,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        # The run has its own file for its log.
        configure_log(launcher.config.hydra.hydra_logging, launcher.config.hydra.verbose)
        return done

    return lambda: {run.number: one(run) for run in runs}


def failed(run: PlannedRun, error: Exception) -> JobReturn:
    """What Hydra is told of a run that broke off."""
    return JobReturn(overrides=list(filter_overrides(run.overrides)), status=JobStatus.FAILED, _return_value=error)


def task_arguments(run: PlannedRun) -> tuple[Any, ...]:
    """What Hydra's launchers over submitit hand to a job."""
    return (list(run.overrides), "hydra.sweep.dir", run.number, f"job_id_for_{run.number}", Singleton.get_state())


def _conclude(folder: Path, runs: Sequence[PlannedRun], results: Results) -> None:
    bad = [run for run in runs if results[run.number].status != JobStatus.COMPLETED]
    for run in bad:
        lines = str(results[run.number]._return_value).strip().splitlines()
        log.error("#%d failed: %s: %s", run.number, run.text, lines[-1] if lines else "without a word")
    log.info("%d of %d runs failed; cromss report status=%s", len(bad), len(runs), folder)
