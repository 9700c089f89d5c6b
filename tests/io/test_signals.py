import os
import signal
import threading

import pytest

from cromss.io.signals import EndedBySignal, ended_by_exception


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_raised_so_that_what_is_under_way_is_cleaned_up(number):
    cleaned = []

    def work():
        try:
            os.kill(os.getpid(), number)
        finally:
            cleaned.append(number)

    with pytest.raises(EndedBySignal) as caught, ended_by_exception():
        work()
    assert cleaned == [number]
    assert caught.value.code == 128 + number
    assert signal.getsignal(number) == signal.SIG_DFL


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_exception():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_other_threads_change_nothing():
    handlers = []

    def work():
        with ended_by_exception():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]
