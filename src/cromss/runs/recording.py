"""Records in a run's folder that the run begins, and how it ended."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import InstantiationException

from cromss.runs.job import rank
from cromss.runs.names import CONFIG, RECORD
from cromss.runs.record import RunRecord, read_record

log = logging.getLogger(__name__)


class Recording:
    """The record of a run under way.

    Args:
        begun: The record of its start.
        save: Writes a record.
        on_begin: Called as soon as the folder belongs to this run.

    Attributes:
        score: The score for a sweeper; NaN before it is known.
        has_begun: Whether the folder belongs to this run; a run that is refused before leaves it unchanged.
    """

    def __init__(self, begun: RunRecord, save: Callable[[RunRecord], None], on_begin: Callable[[], None]) -> None:
        self.score = math.nan
        self.has_begun = False
        self._begun, self._save, self._on_begin = begun, save, on_begin

    def mark_begun(self) -> None:
        """Records that all checks have passed, and that this run changes the folder from now on."""
        self.has_begun = True
        self._save(self._begun)
        self._on_begin()


@contextmanager
def recorded(begun: RunRecord, folder: Path, on_begin: Callable[[], None] = lambda: None) -> Iterator[Recording]:
    """Records that a run begins, and how it ends; the first process of a job does so for all.

    A run that is refused leaves the record of a finished run, or of another run, unchanged.

    Args:
        begun: See `new_record`.
        folder: Folder of the run.
        on_begin: See `Recording`.

    Raises:
        OSError: The folder cannot be written; nothing else has been done by then.
    """
    save: Callable[[RunRecord], None] = (lambda record: None) if rank() else (lambda record: record.save(folder))
    recording = Recording(begun, save, on_begin)
    if not _holds_other_run(folder, begun):
        save(begun)
        on_begin()
        recording.has_begun = True
    try:
        yield recording
    except BaseException as error:
        if not recording.has_begun:
            raise
        state, said = end_state(error)
        try:
            save(begun.ended_as(state, error=said))
        except OSError as unwritten:
            # The first error matters more, and a run without a record of its end counts as interrupted.
            log.warning("The end of the run could not be recorded: %s", unwritten)
        raise
    save(begun.ended_as("done", recording.score))


def _holds_other_run(folder: Path, begun: RunRecord) -> bool:
    """Whether a folder holds a finished run, or another run, and not just a failed start of this one."""
    record = read_record(folder)
    if record is not None:
        return record.state == "done" or record.identity != begun.identity
    return (folder / RECORD).exists() or (folder / CONFIG).exists()


def end_state(error: BaseException) -> tuple[str, str | None]:
    """The state of a run that an exception ended, and the error message, if any."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code == 128 + signal.SIGINT):
        return "stopped", None
    if isinstance(error, SystemExit):
        return "preempted", None
    cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
    return "failed", f"{cause}" or type(cause).__name__
