"""Runs the jobs of a sweep in processes of this machine, a given number at a time, by submitit."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import submitit
from hydra.core.utils import JobReturn

from cromss.config import UserError
from cromss.runs.state import states_of
from cromss.runs.submitted import Submitted
from cromss.sweep.launch import Results, earlier_result, task_arguments
from cromss.sweep.plan import PlannedRun
from cromss.sweep.submit import result

log = logging.getLogger(__name__)


def start_processes(launcher: Any, params: Mapping[str, Any], runs: Sequence[PlannedRun]) -> Callable[[], Results]:
    """Starts runs in processes of this machine, a given number at a time.

    Args:
        launcher: Hydra's, which each process calls.
        params: Of `conf/hydra/launcher/slurm_local.yaml`.
        runs: To start.

    Returns:
        A function that starts them and waits for all of them.

    Raises:
        UserError: ``parallel`` is below 1.
    """
    if not isinstance(params["parallel"], int) or params["parallel"] < 1:
        raise UserError(f"hydra.launcher.parallel={params['parallel']} must be a whole number of at least 1")

    def wait() -> Results:
        results: dict[int, JobReturn] = {}
        waiting, free = list(runs), list(range(params["parallel"]))
        under_way: dict[int, tuple[PlannedRun, Any]] = {}
        while waiting or under_way:
            while waiting and free:
                run = waiting.pop(0)
                # Another launcher may have started it in the meantime.
                if (settled := earlier_result(run, *states_of([run.folder]))) is not None:
                    results[run.number] = settled
                    continue
                slot = free.pop(0)
                job = _local_executor(params, slot).submit(launcher, *task_arguments(run))
                stderr = str(job.task(0).paths.stderr)
                Submitted(job=job.job_id, host=platform.node(), is_slurm=False, log=stderr).save(run.folder)
                log.info("#%d is process %s, its log is %s", run.number, job.job_id, job.task(0).paths.stderr)
                under_way[slot] = run, job
            for slot, (run, job) in list(under_way.items()):
                if job.done():
                    results[run.number] = result(run, job)
                    del under_way[slot]
                    free.append(slot)
            time.sleep(0.5)
        return results

    return wait


def _local_executor(params: Mapping[str, Any], slot: int) -> submitit.LocalExecutor:
    """The executor of one of the parallel processes, with GPUs of its own."""
    executor = submitit.LocalExecutor(params["submitit_folder"], max_num_timeout=params["max_num_timeout"])
    gpus = params["gpus_per_node"] or 0
    executor.update_parameters(
        timeout_min=params["timeout_min"],
        signal_delay_s=params["signal_delay_s"],
        tasks_per_node=params["tasks_per_node"],
        gpus_per_node=gpus,
        visible_gpus=list(range(slot * gpus, (slot + 1) * gpus)),
    )
    return executor
