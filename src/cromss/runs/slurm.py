"""The state of Slurm jobs, from the commands that every cluster has; accounting is not needed."""

from __future__ import annotations

import logging
import math
import re
import shutil
import subprocess
from collections.abc import Collection, Sequence
from functools import cache

log = logging.getLogger(__name__)

COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "sinfo")

_COLUMNS = 3
"""Columns that `live_jobs` asks for."""

_TIMEOUT_S = 60
"""Seconds that a command may take: a busy controller answers late."""


def missing_commands() -> list[str]:
    """Slurm's commands that are missing on this machine."""
    return [command for command in COMMANDS if shutil.which(command) is None]


def live_jobs(jobs: Collection[str]) -> dict[str, str] | None:
    """Which jobs have not ended.

    Args:
        jobs: Ids such as ``"17"``, or of an array ``"17_3"``.

    Returns:
        Id -> its state in Slurm, such as ``"RUNNING"`` or ``"PENDING (Resources)"``, of those that have not ended;
        None where Slurm does not answer.
    """
    if not jobs:
        return {}
    # This lists all jobs: squeue fails if it is asked for a job that it does not know any more.
    said = _output_of(["squeue", "--noheader", "--array", "--format=%i|%T|%r"])
    if said is None:
        return None
    rows = (line.strip().split("|", 2) for line in said.splitlines() if line.count("|") >= _COLUMNS - 1)
    return {job: f"{state} ({why})" if state == "PENDING" else state for job, state, why in rows if job in jobs}


def partitions() -> dict[str, float] | None:
    """The partitions, each with its time limit in minutes; None where Slurm does not answer."""
    said = _output_of(["sinfo", "--noheader", "--format=%R|%l"])
    if said is None:
        return None
    return {name: minutes(limit) for name, _, limit in (line.strip().partition("|") for line in said.splitlines())}


def default_partition() -> str | None:
    """The partition that jobs go to where none is named; None where there is none, or Slurm does not answer."""
    starred = [
        name.strip() for name in (_output_of(["sinfo", "--noheader", "--format=%P"]) or "").split() if name[-1] == "*"
    ]
    return starred[0].rstrip("*") if starred else None


def minutes(limit: str) -> float:
    """A time limit in minutes, from ``[days-]hours:minutes:seconds`` or its shorter forms; else infinity."""
    found = re.fullmatch(r"(?:(?P<d>\d+)-)?(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+)", limit.strip())
    if not found:
        return math.inf
    days, hours, whole, seconds = (int(found[name] or 0) for name in "dhms")
    return days * 1440 + hours * 60 + whole + seconds / 60


def rename(job: str, name: str) -> None:
    """Renames a job in the queue; a job that has already ended keeps its name."""
    _output_of(["scontrol", "update", f"JobId={job}", f"JobName={name}"])


@cache
def _is_installed(command: str) -> bool:
    return shutil.which(command) is not None


def _output_of(command: Sequence[str]) -> str | None:
    if not _is_installed(command[0]):
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_TIMEOUT_S)
    except (subprocess.SubprocessError, OSError) as error:
        log.debug("%s: %s %s", " ".join(command), error, getattr(error, "stderr", ""))
        return None
    return done.stdout
