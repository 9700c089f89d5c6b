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
from cromss.runs.lock import submission_lock
from cromss.runs.names import check_no_links
from cromss.runs.record import finished_record
from cromss.runs.state import RunState, states_of
from cromss.sweep.plan import Overrides, PlannedRun, plan, save_plan, set_job_number

log = logging.getLogger(__name__)

Results = Mapping[int, JobReturn]
"""Number of a run -> its result."""

Start = Callable[[Sequence[PlannedRun]], Callable[[], Results]]
"""Starts runs; returns a function that waits for their results."""


def launch(launcher: Any, start: Start, jobs: Sequence[Overrides], first: int) -> list[JobReturn]:
    """Starts the missing runs of a sweep.

    Args:
        launcher: Hydra's, set up.
        start: How its runs start.
        jobs: Overrides of each run.
        first: Number of the first one.

    Returns:
        One result per job, in their order: the score of a run that another job works on is NaN.

    Raises:
        UserError: The sweep cannot start.
        LinkError: A folder of it holds a link, which writing would follow.
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
    with submission_lock(folder):
        states = zip(runs, states_of([run.folder for run in runs]), strict=True)
        results = {run.number: result for run, state in states if (result := earlier_result(run, state))}
        missing = [run for run in runs if run.number not in results]
        for run in missing:
            check_no_links(run.folder)
        wait = start(missing) if missing else dict
    results |= wait()
    _conclude(folder, runs, results)
    return [_without_second_report(results[run.number]) for run in runs]


class _LoggedFailure(JobReturn):
    """The result of a run that failed, which `_conclude` has logged.

    Hydra reads the value of every run, and would report the error a second time.
    """

    @property
    def return_value(self) -> Any:
        raise SystemExit(1)

    @return_value.setter
    def return_value(self, value: Any) -> None:
        self._return_value = value


def _without_second_report(result: JobReturn) -> JobReturn:
    if not isinstance(result._return_value, Exception) or os.environ.get("HYDRA_FULL_ERROR") == "1":
        return result
    return _LoggedFailure(overrides=result.overrides, status=result.status, _return_value=result._return_value)


def earlier_result(run: PlannedRun, state: RunState) -> JobReturn | None:
    """The result of a run that needs no start, as the log says; None for a run that has to start.

    Args:
        run: The run.
        state: Its state before the sweep starts.
    """
    if state.is_under_way:
        log.info("#%d left alone, %s (%s): %s", run.number, state.state, state.detail, run.text)
        return completed(run, math.nan)
    if run.config is not None and run.config["trainer"]["resume"] == "auto":
        # The config of a test depends on its checkpoint, which only the run itself reads and compares.
        record = state.record if run.config["trainer"]["test_only"] else finished_record(run.folder, run.config)
        if record is not None and record.state == "done":
            log.info("#%d finished before, %s: %s", run.number, state.detail, run.text)
            return completed(run, record.score)
    said = {"missing": "starts", "failed": "is repeated", "done": "starts again"}.get(state.state, "resumes")
    log.info("#%d %s: %s", run.number, said, run.text)
    return None


def completed(run: PlannedRun, score: float | None) -> JobReturn:
    """The result for Hydra of a run with a score."""
    return JobReturn(
        overrides=list(filter_overrides(run.overrides)),
        status=JobStatus.COMPLETED,
        _return_value=math.nan if score is None else score,
    )


def start_one_by_one(launcher: Any, runs: Sequence[PlannedRun]) -> Callable[[], Results]:
    """Returns a function that runs a sweep in this process, one run after the other.

    Args:
        launcher: Hydra's, set up.
        runs: In their order.
    """

    def one(run: PlannedRun) -> JobReturn:
        cfg = launcher.hydra_context.config_loader.load_sweep_config(launcher.config, list(run.overrides))
        set_job_number(cfg, run.number)
        done = run_job(
            hydra_context=launcher.hydra_context,
            task_function=launcher.task_function,
            config=cfg,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
        # The run logs to a file of its own; this restores the log of the sweep.
        configure_log(launcher.config.hydra.hydra_logging, launcher.config.hydra.verbose)
        return done

    return lambda: {run.number: one(run) for run in runs}


def failed(run: PlannedRun, error: Exception) -> JobReturn:
    """The result for Hydra of a run that failed."""
    return JobReturn(overrides=list(filter_overrides(run.overrides)), status=JobStatus.FAILED, _return_value=error)


def task_arguments(run: PlannedRun) -> tuple[Any, ...]:
    """The arguments that Hydra's launchers pass to a job of submitit."""
    return (list(run.overrides), "hydra.sweep.dir", run.number, f"job_id_for_{run.number}", Singleton.get_state())


def _conclude(folder: Path, runs: Sequence[PlannedRun], results: Results) -> None:
    bad = [run for run in runs if results[run.number].status != JobStatus.COMPLETED]
    for run in bad:
        lines = str(results[run.number]._return_value).strip().splitlines()
        log.error("#%d failed: %s: %s", run.number, run.text, lines[-1] if lines else "no message")
    log.info("%d of %d runs failed; cromss report status=%s", len(bad), len(runs), folder)
