"""Runs a command and watches it and all processes that it starts."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

import psutil

POLL = 0.1  # seconds between two looks


class Run(NamedTuple):
    """What a run took: wall and processor time in s, and the most anonymous memory in MiB, of all its processes."""

    seconds: float
    processor: float
    memory: float


def run(command: Sequence[str]) -> Run:
    """Runs a command to its end.

    Raises:
        RuntimeError: It failed; the message ends with what it said last.
    """
    used, start, highest = {}, time.perf_counter(), 0
    with tempfile.TemporaryFile() as output:
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        while running.poll() is None:
            highest = max(highest, _look(running.pid, used))
            time.sleep(POLL)
        taken = time.perf_counter() - start
        if running.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{output.read().decode()[-2000:]}")
    return Run(taken, sum(used.values()), highest / 2**20)


def _look(pid: int, used: dict[int, float]) -> int:
    """Notes the processor time of a process and all below it, and returns the bytes of their memory.

    Memory is anonymous: without pages of files, which the kernel drops whenever it needs them. Workers are no children
    that the operating system would count to us, so they are looked at while they live.
    """
    total = 0
    # One that has just ended is left out.
    with suppress(psutil.Error):
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            times, memory = process.cpu_times(), process.memory_info()
            used[process.pid] = times.user + times.system
            total += memory.rss - memory.shared
    return total
