"""Notes in a run's folder that the run begins, and how it ended."""

from __future__ import annotations

import logging
import math
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import InstantiationException

from cromss.runs.record import RunRecord, is_done
from cromss.sweep.job import rank

log = logging.getLogger(__name__)


class Recording:
    """What a run adds to its record.

    Args:
        begun: The record of its beginning.
        save: Writes a record.

    Attributes:
        score: What a sweeper is told; NaN before it is known.
        has_begun: Whether anything but checks was done.
    """

    def __init__(self, begun: RunRecord, save: Callable[[RunRecord], None]) -> None:
        self.score = math.nan
        self.has_begun = False
        self._begun, self._save = begun, save

    def begins(self) -> None:
        """Notes that all checks have passed, and that what was in the folder before will change."""
        self.has_begun = True
        self._save(self._begun)


@contextmanager
def recorded(begun: RunRecord, folder: Path) -> Iterator[Recording]:
    """Notes that a run begins, and how it ends; the first process of a job does so for all.

    A run that is refused in the folder of a finished one leaves the record of that.

    Args:
        begun: See `begin`.
        folder: The run's.

    Raises:
        OSError: Its folder cannot be written, before anything else is done.
    """
    save: Callable[[RunRecord], None] = (lambda record: None) if rank() else (lambda record: record.save(folder))
    keep = is_done(folder)
    if not keep:
        save(begun)
    recording = Recording(begun, save)
    try:
        yield recording
    except BaseException as error:
        if keep and not recording.has_begun:
            raise
        state, said = ending(error)
        try:
            save(begun.ended_as(state, error=said))
        except OSError as unwritten:
            # What ended the run matters more, and a run that says nothing counts as interrupted.
            log.warning("How the run ended could not be noted: %s", unwritten)
        raise
    save(begun.ended_as("done", recording.score))


def ending(error: BaseException) -> tuple[str, str | None]:
    """The state that an exception ends a run in, and what there is to say."""
    if isinstance(error, KeyboardInterrupt) or (isinstance(error, SystemExit) and error.code == 128 + signal.SIGINT):
        return "stopped", None
    if isinstance(error, SystemExit):
        return "preempted", None
    cause = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
    return "failed", f"{cause}" or type(cause).__name__
