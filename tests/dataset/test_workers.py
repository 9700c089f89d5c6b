"""Processes that read: deaf to everybody but the training."""

import signal
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader

from cromss.dataset.workers import ErrorsAsValues, raise_if_error

# In a program of its own: threads that libraries start anew in every child of the tests' process hear signals, too.
DEAF = """
import multiprocessing, subprocess, time
from cromss.dataset.workers import ignore_foreign_signals

def wait_for_ever(ready):
    ignore_foreign_signals(0)
    ready.set()
    while True:
        time.sleep(60)

context = multiprocessing.get_context("fork")
ready = context.Event()
worker = context.Process(target=wait_for_ever, args=(ready,), daemon=True)
worker.start()
assert ready.wait(20)
for name in ("TERM", "INT", "USR1", "USR2"):
    subprocess.run(["kill", f"-{name}", str(worker.pid)], check=True)
worker.join(timeout=1)
print("alive" if worker.is_alive() else worker.exitcode)
worker.terminate()
worker.join(timeout=20)
print(worker.exitcode)
"""


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="here nobody tells who sent a signal")
def test_a_worker_ends_where_its_parent_asks_and_for_nobody_else():
    done = subprocess.run([sys.executable, "-c", DEAF], check=True, timeout=60, capture_output=True, text=True)
    # Not -15 at the end: torch takes a worker that a signal ended for one that was killed.
    assert done.stdout.split() == ["alive", "0"]


ENDS_WITH_AN_ERROR = """
from torch.utils.data import DataLoader
from cromss.dataset.workers import ignore_foreign_signals

batches = iter(DataLoader(range(9), num_workers=2, worker_init_fn=ignore_foreign_signals))
next(batches)
raise ValueError("diverged")
"""


def test_a_training_that_ends_with_an_error_does_not_wait_for_its_workers():
    command = [sys.executable, "-c", ENDS_WITH_AN_ERROR]
    done = subprocess.run(command, check=False, timeout=60, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ValueError: diverged")


class Damaged:
    def __getitems__(self, draws):
        if 3 in draws:
            raise ValueError("location 3 is damaged: fetch it again")
        return draws


def test_an_error_of_a_worker_is_its_message_alone():
    loader = DataLoader(
        ErrorsAsValues(Damaged()), batch_sampler=[[1, 2], [3, 4]], num_workers=1, collate_fn=list_or_error
    )
    first, second = loader
    assert raise_if_error(first) == [1, 2]
    with pytest.raises(ValueError, match=r"^location 3 is damaged: fetch it again$"):
        raise_if_error(second)


def list_or_error(batch):
    return batch
