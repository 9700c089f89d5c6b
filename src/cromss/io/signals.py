"""Turns signals that end a program into exceptions, so that it can remove incomplete files."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class EndedBySignal(SystemExit):
    """The end of the program by a signal, with the exit code of that signal.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.code: int = 128 + number
        self.name = signal.Signals(number).name


@contextmanager
def ended_by_exception() -> Iterator[None]:
    """Within this context SIGTERM and SIGHUP raise `EndedBySignal` in the main thread; a second one ends at once.

    A signal that is ignored, as under ``nohup``, stays so. Does nothing in other threads.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _ENDING}
    changed = {number: handler for number, handler in before.items() if handler == signal.SIG_DFL}

    def end(number: int, frame: FrameType | None) -> NoReturn:
        for one in changed:
            signal.signal(one, signal.SIG_DFL)
        raise EndedBySignal(number)

    for number in changed:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in changed.items():
            signal.signal(number, handler)
