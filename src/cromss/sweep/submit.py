"""Submits the runs of a sweep to Slurm by submitit, and waits for them; a job that died counts as failed."""

from __future__ import annotations

import logging
import math
import platform
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
from hydra.core.utils import JobReturn
from submitit.core.utils import FailedJobError, FailedSubmissionError

from cromss.config import UserError
from cromss.runs.slurm import default_partition, live_jobs, missing_commands, partitions, rename
from cromss.runs.submitted import Submitted, last_line
from cromss.sweep.launch import Results, failed, task_arguments
from cromss.sweep.plan import PlannedRun

log = logging.getLogger(__name__)

_COMMON = (
    "timeout_min",
    "cpus_per_task",
    "gpus_per_node",
    "tasks_per_node",
    "mem_gb",
    "nodes",
    "name",
    "stderr_to_stdout",
)
"""Parameters that submitit takes for every kind of executor."""

_APART = ("submitit_folder", "max_num_timeout", "poll_s")
"""Parameters of the launcher itself, not of a job."""

_UNBIND = "unset SLURM_CPU_BIND SLURM_CPU_BIND_LIST SLURM_CPU_BIND_TYPE SLURM_CPU_BIND_VERBOSE"
"""A job that is submitted from within another job would otherwise inherit the core binding of that job."""

_GONE = 2
"""Checks of the queue in a row without a job before it counts as gone: its result may be delayed by the network."""


def start_slurm_jobs(launcher: Any, params: Mapping[str, Any], runs: Sequence[PlannedRun]) -> Callable[[], Results]:
    """Submits runs as one array.

    Args:
        launcher: Hydra's, which each job calls.
        params: Of `conf/hydra/launcher/slurm.yaml`.
        runs: To submit.

    Returns:
        A function that waits for all of them.

    Raises:
        UserError: There is no Slurm here, or it refuses the jobs; nothing was submitted.
    """
    _check_slurm(params["partition"], params["timeout_min"])
    setup = [_UNBIND, *(params["setup"] or [])]
    executor = submitit.AutoExecutor(
        cluster="slurm", folder=params["submitit_folder"], slurm_max_num_timeout=params["max_num_timeout"]
    )
    # If one process fails, Slurm has to end the others, which would wait for it.
    executor.update_parameters(slurm_srun_args=["--kill-on-bad-exit=1"])
    executor.update_parameters(**_for_slurm({**params, "setup": setup}))
    try:
        jobs = executor.map_array(launcher, *zip(*(task_arguments(run) for run in runs), strict=True))
    except (FailedJobError, FailedSubmissionError) as error:
        said = [line for line in str(error).splitlines() if "error" in line.lower()] or str(error).splitlines()
        raise UserError(
            f"Slurm refused the jobs, and nothing was submitted: {said[-1].strip()}. Look at partition, account, "
            "timeout_min, mem_gb, cpus_per_task and gpus_per_node of hydra.launcher"
        ) from error
    for run, job in zip(runs, jobs, strict=True):
        stderr = str(job.task(0).paths.stderr)
        Submitted(job=job.job_id, host=platform.node(), is_slurm=True, log=stderr).save(run.folder)
        rename(job.job_id, f"{params['name']}:{run.folder.name}")
    log.info("Submitted %s: the jobs continue without this launcher; scancel %s stops them", *_named(jobs))
    return lambda: _wait(runs, jobs, params["poll_s"])


def _check_slurm(partition: str | None, timeout_min: float) -> None:
    if missing := missing_commands():
        raise UserError(
            f"hydra/launcher=slurm needs Slurm, and {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not to "
            "be found here: submit from a machine of the cluster; without one set hydra/launcher=slurm_local "
            "(processes of this machine), or leave the launcher out (one run after the other)"
        )
    known = partitions()
    if known is None:
        raise UserError("Slurm does not answer (`sinfo` fails): try again later, or set hydra/launcher=slurm_local")
    asked = [name for name in (partition or default_partition() or "").split(",") if name]
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise UserError(
            f"hydra.launcher.partition={','.join(unknown)} is unknown to this cluster: choose one of {', '.join(known)}"
        )
    longest = max((known[name] for name in asked), default=math.inf)
    if timeout_min > longest:
        # Slurm would accept the jobs and never start them.
        raise UserError(
            f"hydra.launcher.timeout_min={timeout_min} is more than the {longest:.0f} minutes that the partition "
            f"{', '.join(asked)} allows: set hydra.launcher.timeout_min={longest:.0f}, as jobs that reach it queue "
            "again and resume"
        )


def _for_slurm(params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters by submitit's names; those that are null are left to Slurm's defaults."""
    said = {name: value for name, value in params.items() if name not in _APART and value is not None}
    return {name if name in _COMMON else f"slurm_{name}": value for name, value in said.items()}


def _wait(runs: Sequence[PlannedRun], jobs: Sequence[Any], poll_s: float) -> Results:
    """Waits for results; a job that left the queue without a result has died."""
    results: dict[int, JobReturn] = {}
    missed: Counter[str] = Counter()
    next_look = time.monotonic() + poll_s
    try:
        while len(results) < len(runs):
            open_jobs = [(run, job) for run, job in zip(runs, jobs, strict=True) if run.number not in results]
            for run, job in open_jobs:
                if job.task(0).paths.result_pickle.exists() or missed[job.job_id] >= _GONE:
                    results[run.number] = result(run, job)
                    log.info("#%d ended (%d of %d): %s", run.number, len(results), len(runs), run.text)
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + poll_s
                live = live_jobs([job.job_id for _, job in open_jobs])
                # Without an answer from Slurm, no job is known to be gone.
                for _, job in open_jobs if live is not None else []:
                    missed[job.job_id] = 0 if job.job_id in (live or {}) else missed[job.job_id] + 1
            time.sleep(1)
    except KeyboardInterrupt:
        log.info("\nStopped waiting. The jobs continue; scancel %s stops them.", _named(jobs)[1])
        raise SystemExit(130) from None
    return results


def result(run: PlannedRun, job: Any) -> JobReturn:
    """The result of an ended submitit job; without one the job has died, and its log says why.

    Args:
        run: The run of the job.
        job: The submitit job.
    """
    path = job.task(0).paths.result_pickle
    if not path.exists():
        words = last_line(Path(job.task(0).paths.stderr))
        return failed(
            run, UserError(f"job {job.job_id} ended without a result: {words or 'its log is empty'} ({path.parent})")
        )
    try:
        return job.task(0).result()
    except FailedJobError as error:
        return failed(run, UserError(str(error)))


def _named(jobs: Sequence[Any]) -> tuple[str, str]:
    """Jobs as text for a message, and as arguments of scancel."""
    arrays = sorted({job.job_id.partition("_")[0] for job in jobs})
    return f"{len(jobs)} job{'s' * (len(jobs) > 1)} as {', '.join(arrays)}", " ".join(arrays)
