"""The job to which a launcher submitted a run, in `submitted.json`."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from cromss.io.atomic import write_file
from cromss.io.plain import Record, printable
from cromss.runs.files import PathText, Text, read_json_record
from cromss.runs.names import SUBMITTED

log = logging.getLogger(__name__)

_TAIL = 2**16
"""Bytes at the end of a job's log that are searched for its last line."""


class Submitted(Record):
    """A job that was submitted.

    Attributes:
        job: Slurm id, such as ``"17"`` or ``"17_3"``; for a local launcher the process id.
        host: Machine that submitted it.
        is_slurm: Whether it is a job of Slurm.
        log: File of the job's standard error.
    """

    job: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,10}(_[0-9]{1,9})?$")]
    host: Text
    is_slurm: bool
    log: PathText

    def save(self, folder: Path) -> None:
        """Writes it into a run's folder, which is created."""
        folder.mkdir(parents=True, exist_ok=True)
        write_file(folder / SUBMITTED, json.dumps(self.model_dump()).encode())

    def last_log_line(self) -> str | None:
        """The last line of its log, e.g. Slurm's reason for ending it; None where there is none."""
        return last_line(Path(self.log))


def read_submitted(folder: Path) -> Submitted | None:
    """The job of a run; None where there is none, or, with a warning, where the file is damaged."""
    path = folder / SUBMITTED
    try:
        return read_json_record(path, Submitted)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): taken for a run that was never submitted", path, error)
        return None


def last_line(path: Path) -> str | None:
    """The last line of a log that is not blank, printable; None where there is none.

    Only the end of a long log is read; None, too, where the file is not a regular file.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        lines = file.read(_TAIL).decode(errors="replace").strip().splitlines()
    return printable(lines[-1].strip())[:1000] if lines else None
