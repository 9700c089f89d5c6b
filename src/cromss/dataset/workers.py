"""Processes that read for a training: they neither end before it nor outlive it, and say what is wrong in its words."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from torch.utils.data import Dataset


def ignore_foreign_signals(worker: int) -> None:
    """Leaves every signal to the training process, but ends where that one asks for it.

    A scheduler or a terminal signals all processes of a job. A worker that dies of it, or runs a handler that it
    inherited, breaks the orderly end of the training. But a training that ends with an error ends its workers by
    SIGTERM and waits for them: one that ignored this would keep it for ever.

    Args:
        worker: Its number.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    # macOS does not tell who sent a signal: there SIGTERM stays what it is.
    if hasattr(signal, "sigwaitinfo"):
        # A blocked signal waits to be taken by the thread, which inherits the block.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    # It only reads: there is nothing to tidy up.
    os._exit(0)


class ErrorsAsValues(Dataset[Any]):
    """Hands errors over in the place of batches, for `raise_if_error` in the training process.

    An error that leaves a worker by itself arrives with a stack trace in its message.

    Args:
        dataset: Reads batches.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitems__(self, draws: list[Any]) -> Any:
        """A batch, or the ValueError or OSError that reading it ended in."""
        try:
            return self.dataset.__getitems__(draws)
        except (ValueError, OSError) as error:
            return error


def raise_if_error(batch: Any) -> Any:
    """The batch itself; raises what `ErrorsAsValues` handed over instead of one."""
    if isinstance(batch, Exception):
        raise batch
    return batch
