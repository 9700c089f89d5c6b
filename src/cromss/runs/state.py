"""The state of the runs of a sweep, from their folders and from Slurm."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cromss.runs.job import slurm_job, slurm_job_of
from cromss.runs.lock import holder
from cromss.runs.record import RunRecord, read_record
from cromss.runs.slurm import live_jobs
from cromss.runs.submitted import Submitted, read_submitted


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Attributes:
        state: ``"done"``, ``"running"``, ``"queued"``, ``"failed"``, ``"interrupted"`` (killed, preempted or stopped,
            and no job resumes it), ``"unknown"`` (Slurm has it and does not answer) or ``"missing"``.
        detail: Score, job or last error line, as text.
        record: The record of the run.
    """

    state: str
    detail: str
    record: RunRecord | None

    @property
    def is_under_way(self) -> bool:
        """Whether a second job must not start in its folder."""
        return self.state in ("running", "queued", "unknown")


def states_of(folders: Sequence[Path]) -> list[RunState]:
    """The states of runs; Slurm is asked once for all of them.

    Args:
        folders: Folders of the runs; a run without a folder is missing.
    """
    submitted = {folder: read_submitted(folder) for folder in folders}
    records = {folder: read_record(folder) for folder in folders}
    ids = {job.job for job in submitted.values() if job is not None and job.is_slurm}
    ids |= {job for record in records.values() if record and (job := slurm_job_of(record.job))}
    live = live_jobs(ids)
    return [_state(folder, records[folder], submitted[folder], live) for folder in folders]


def _state(
    folder: Path, record: RunRecord | None, submitted: Submitted | None, live: Mapping[str, str] | None
) -> RunState:
    if record is not None and record.state == "done":
        return RunState("done", f"{record.monitor} {math.nan if record.score is None else record.score:.4g}", record)
    if (now := holder(folder)) is not None:
        return RunState("running", now, record)
    jobs = {record and slurm_job_of(record.job), _slurm_id(submitted)} - {None, slurm_job()}
    for job in sorted(str(job) for job in jobs):
        if live is None:
            return RunState("unknown", f"Slurm job {job}, and squeue does not answer here", record)
        if job in live:
            state = "running" if live[job] in ("RUNNING", "COMPLETING") else "queued"
            return RunState(state, f"Slurm job {job} {live[job]}", record)
    if submitted is not None and not submitted.is_slurm and _is_starting(submitted):
        return RunState("queued", f"process {submitted.job}", record)
    if record is None:
        last_line = None if submitted is None else submitted.last_log_line()
        # It was submitted and ended without a record: out of memory, cancelled, or its node was lost.
        return RunState("missing" if submitted is None else "interrupted", last_line or "", None)
    if record.state == "failed":
        return RunState("failed", record.error or "", record)
    last_line = submitted.last_log_line() if submitted is not None and record.state == "running" else None
    return RunState("interrupted", last_line or {"running": "killed"}.get(record.state, record.state), record)


def _slurm_id(submitted: Submitted | None) -> str | None:
    return submitted.job if submitted is not None and submitted.is_slurm else None


def _is_starting(submitted: Submitted) -> bool:
    """Whether the process of a local launcher is running, and has not locked its folder yet."""
    if submitted.host != platform.node():
        return False
    try:
        os.kill(int(submitted.job), 0)
        command = Path(f"/proc/{submitted.job}/cmdline")
        # Another program may have got the number in the meantime.
        return b"submitit" in command.read_bytes() if command.exists() else True
    except (ProcessLookupError, PermissionError, OverflowError, ValueError):
        return False  # also a number that no process can have
