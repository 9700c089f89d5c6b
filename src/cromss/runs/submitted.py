"""The job that a launcher handed a run to, in `submitted.json`."""

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
"""Bytes of a job's log that are looked at for its last line."""


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
