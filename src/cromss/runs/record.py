"""What a run says of itself in `run.json`, and the job that it was handed to in `submitted.json`."""

from __future__ import annotations

import json
import logging
import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from cromss.io.atomic import write_file
from cromss.io.plain import Record, printable
from cromss.io.redact import redact
from cromss.runs.files import read_json_record
from cromss.runs.names import RECORD, SUBMITTED
from cromss.runs.text import PathText, Text

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout of `run.json`."""

_TAIL = 2**16
"""Bytes of a job's log that are looked at for its last line."""


class RunRecord(Record):
    """What a run says of itself.

    Attributes:
        state: ``"running"`` from its start; then ``"done"``, ``"failed"``, ``"preempted"`` by a scheduler, or
            ``"stopped"`` by Ctrl-C. A killed run leaves ``"running"`` behind.
        name: Of the run, as on W&B.
        overrides: From the command line, without credentials.
        choices: Group -> chosen option.
        config_hash: See `cromss.runs.experiment.config_hash`.
        identity: See `cromss.sweep.record.identity`.
        epochs: Asked for.
        seed: The run's seed.
        git_commit: Of the code.
        job: Who ran it, see `cromss.sweep.job.owner`.
        host: Where.
        user: Whose it is.
        started: ISO 8601, in UTC; for people to read, nothing is decided by it.
        monitor: The metric that the score is the best value of.
        ended: Like `started`; None before.
        score: What a sweeper is told; None before the end, and where nothing was measured.
        error: Last line of the error that it failed with.
    """

    state: Literal["running", "done", "failed", "preempted", "stopped"]
    name: Text
    overrides: list[Text]
    choices: dict[Text, Text | None]
    config_hash: Text
    identity: Text
    epochs: Annotated[int, Field(ge=0, le=10**9)]
    seed: int
    git_commit: Text | None
    job: Text
    host: Text
    user: Text
    started: Text
    monitor: Text
    ended: Text | None = None
    score: float | None = None
    error: Text | None = None

    def save(self, folder: Path) -> None:
        """Writes it as a whole; OSError where it cannot be written."""
        write_file(folder / RECORD, json.dumps({"format": FORMAT, **self.model_dump()}, indent=1).encode())

    def ended_as(self, state: str, score: float | None = None, error: str | None = None) -> RunRecord:
        """The record of the end; of an error its last line is kept, without credentials."""
        lines = redact(error or "").strip().splitlines()
        last = printable(lines[-1].strip())[:1000] if lines else None
        known = score if score is not None and math.isfinite(score) else None
        return self.model_copy(update={"state": state, "ended": now(), "score": known, "error": last})


def now() -> str:
    """The time in UTC, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_record(path: Path) -> RunRecord:
    """Reads a `run.json`.

    Raises:
        NotPlainError: It is damaged or of another version; the message is the reason alone.
        OSError: It cannot be read.
    """
    return read_json_record(path, RunRecord, FORMAT)


def read_record(folder: Path) -> RunRecord | None:
    """The record in a run's folder; None where there is none, or a damaged one, of which a warning tells."""
    path = folder / RECORD
    try:
        return load_record(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): taken for a run that was interrupted", path, error)
        return None


class Submitted(Record):
    """A job that was handed over.

    Attributes:
        job: Of Slurm, its id, such as ``"17"`` or ``"17_3"``; of a local launcher the number of the process.
        host: From which it was handed over.
        is_slurm: Whether Slurm has it.
        log: File of the job's standard error.
    """

    job: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}(_[0-9]{1,9})?$")]
    host: Text
    is_slurm: bool
    log: PathText

    def save(self, folder: Path) -> None:
        """Writes it into a run's folder, which is made."""
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / SUBMITTED, json.dumps(self.model_dump()).encode())

    def last_words(self) -> str | None:
        """The last line of its log, as Slurm's on why it was ended; None where there is none."""
        return last_line(Path(self.log))


def read_submitted(folder: Path) -> Submitted | None:
    """The job that a run was handed to; None where there is none, or a damaged note, of which a warning tells."""
    path = folder / SUBMITTED
    try:
        return read_json_record(path, Submitted)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): taken for a run that was never handed over", path, error)
        return None


def last_line(path: Path) -> str | None:
    """The last line of a log that is not blank, printable; None where there is none.

    Of a long log the end alone is read; a file that is not regular counts as none.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        lines = file.read(_TAIL).decode(errors="replace").strip().splitlines()
    return printable(lines[-1].strip())[:1000] if lines else None
