"""How times are taken: on one thread, and of this process alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch


def seconds(run: Callable[[], object]) -> float:
    """Processor time that a call takes; what others do on the machine does not count."""
    start = time.process_time()
    run()
    return time.process_time() - start


def fastest(ways: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """The fastest of `repeats` runs of each way, in seconds; the ways take turns, so that a disturbance hits all."""
    return [min(times) for times in zip(*([seconds(way) for way in ways] for _ in range(repeats)), strict=True)]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch works on one thread within the context."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
