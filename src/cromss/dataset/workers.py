"""Loader processes: they end with the training process, not before it, and their errors are raised in it."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

from torch.utils.data import Dataset


def ignore_foreign_signals(worker: int) -> None:
    """Ignores every signal, but for a SIGTERM of the training process, which ends the worker.

    A scheduler or a terminal signals all processes of a job. A worker that ends by it, or runs a handler that it
    inherited, breaks the orderly end of the training. But a training that fails ends its workers by SIGTERM and waits
    for them, for ever if they ignored it.

    Args:
        worker: Its number.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    # macOS does not report who sent a signal: there SIGTERM ends the worker, whoever sends it.
    if hasattr(signal, "sigwaitinfo"):
        # The thread inherits the block, and receives the blocked signal by `sigwaitinfo`.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    # A worker only reads: there is nothing to clean up.
    os._exit(0)


class ErrorsAsValues(Dataset[Any]):
    """Returns errors instead of batches, for `raise_if_error` in the training process.

    An error that torch itself passes on from a worker arrives with a stack trace in its message.

    Args:
        dataset: Reads batches.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitems__(self, samples: list[Any]) -> Any:
        """A batch, or the ValueError or OSError of reading it."""
        try:
            return self.dataset.__getitems__(samples)
        except (ValueError, OSError) as error:
            return error


def raise_if_error(batch: Any) -> Any:
    """The batch itself; raises an error that `ErrorsAsValues` returned instead."""
    if isinstance(batch, Exception):
        raise batch
    return batch
