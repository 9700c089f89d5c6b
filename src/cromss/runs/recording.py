"""Notes in a run's folder that the run begins, and how it ended."""

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
    """What a run adds to its record.

    Args:
        begun: The record of its beginning.
        save: Writes a record.
        take: Called once it is known that what is in the folder from now on is of this run.

    Attributes:
        score: What a sweeper is told; NaN before it is known.
        has_begun: Whether the folder is of this run; before, a run that is refused leaves it as it was.
    """

    def __init__(self, begun: RunRecord, save: Callable[[RunRecord], None], take: Callable[[], None]) -> None:
        self.score = math.nan
        self.has_begun = False
        self._begun, self._save, self._take = begun, save, take

    def begins(self) -> None:
        """Notes that all checks have passed, and that what was in the folder before will change."""
        self.has_begun = True
        self._save(self._begun)
        self._take()


@contextmanager
def recorded(begun: RunRecord, folder: Path, take: Callable[[], None] = lambda: None) -> Iterator[Recording]:
    """Notes that a run begins, and how it ends; the first process of a job does so for all.

    A run that is refused leaves the record of a finished run, and that of any other one, as it was.

    Args:
        begun: See `begin`.
        folder: The run's.
        take: See `Recording`.

    Raises:
        OSError: Its folder cannot be written, before anything else is done.
    """
    save: Callable[[RunRecord], None] = (lambda record: None) if rank() else (lambda record: record.save(folder))
    recording = Recording(begun, save, take)
    if not _is_of_another(folder, begun):
        save(begun)
        take()
        recording.has_begun = True
    try:
        yield recording
    except BaseException as error:
        if not recording.has_begun:
            raise
        state, said = ending(error)
        try:
            save(begun.ended_as(state, error=said))
        except OSError as unwritten:
            # What ended the run matters more, and a run that says nothing counts as interrupted.
            log.warning("How the run ended could not be noted: %s", unwritten)
        raise
    save(begun.ended_as("done", recording.score))


def _is_of_another(folder: Path, begun: RunRecord) -> bool:
    """Whether what lies in a folder says more than that an earlier start of this run came to nothing."""
    record = read_record(folder)
    if record is not None:
        return record.state == "done" or record.identity != begun.identity
    return (folder / RECORD).exists() or (folder / CONFIG).exists()


def ending(error: BaseException) -> tuple[str, str | None]:
    """The state that an exception ends a run in, and what there is to say."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code == 128 + signal.SIGINT):
        return "stopped", None
    if isinstance(error, SystemExit):
        return "preempted", None
    cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
    return "failed", f"{cause}" or type(cause).__name__
