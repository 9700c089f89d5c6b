"""Runs of a sweep in this process, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hydra.core.utils import JobReturn, configure_log, run_job

from cromss.sweep.launch import Results
from cromss.sweep.plan import PlannedRun, with_number


def start(launcher: Any, runs: Sequence[PlannedRun]) -> Callable[[], Results]:
    """What runs them once it is called.

    Args:
        launcher: Hydra's, set up.
        runs: In their order.
    """

    def wait() -> Results:
        return {run.number: _run(launcher, run) for run in runs}

    return wait


def _run(launcher: Any, run: PlannedRun) -> JobReturn:
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
