"""Which job this process belongs to: the name is the same in all its processes, and changes with every restart."""

from __future__ import annotations

import os
import platform
import pwd
import re
from collections.abc import Iterator
from contextlib import contextmanager

_PARENT_JOB = "CROMSS_RUN_OWNER"
"""Environment variable that the first process of a run sets for the processes that it starts."""


def rank() -> int:
    """The rank of this process among those that train together; known before torch is loaded."""
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        if name in os.environ:
            return int(os.environ[name])
    return 0


def processes() -> int:
    """How many processes of this job a scheduler has started for one training."""
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS", "SUBMITIT_LOCAL_NTASKS"):
        if name in os.environ:
            return int(os.environ[name])
    return 1


def slurm_job() -> str | None:
    """The Slurm job that this process belongs to, ``"17"``, or of an array ``"17_3"``; None outside Slurm."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID")


def owner() -> str:
    """Name of this job in locks, such as ``"Slurm job 17_3, start 2"`` or ``"process 4711 on node1"``."""
    job = slurm_job()
    if job is not None:
        return f"Slurm job {job}, start {int(os.environ.get('SLURM_RESTART_COUNT', '0')) + 1}"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        names = ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT")
        return "torchrun " + " ".join(os.environ.get(name, "") for name in names)
    if "SUBMITIT_LOCAL_JOB_ID" in os.environ:
        return f"process {os.environ['SUBMITIT_LOCAL_JOB_ID']} on {platform.node()}"
    if rank() and _PARENT_JOB in os.environ:
        return os.environ[_PARENT_JOB]
    return f"process {os.getpid()} on {platform.node()}"


def user() -> str:
    """User of this process; by number where the system has no name for it, as in a container."""
    for name in ("LOGNAME", "USER"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


@contextmanager
def mark_children() -> Iterator[None]:
    """Marks the processes that this one starts, in their environment, as part of this job."""
    os.environ[_PARENT_JOB] = owner()
    try:
        yield
    finally:
        del os.environ[_PARENT_JOB]


def is_child() -> bool:
    """Whether the first process of the run has started this one."""
    return _PARENT_JOB in os.environ


def slurm_job_of(name: str) -> str | None:
    """The Slurm job in a name that `owner` returned, without the number of its start; None without Slurm."""
    found = re.match(r"Slurm job (\S+), start ", name)
    return found[1] if found else None
