"""Work done in a thread of its own while its results are used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Iterator[Item], depth: int) -> Iterator[Item]:
    """Yields items in their order, each of which is made up to `depth` before it is asked for.

    Args:
        items: Runs in one other thread, and in no two at once.
        depth: At least 1.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        pending: deque[Future[list[Item]]] = deque(pool.submit(_next, items) for _ in range(depth))
        while made := pending.popleft().result():
            pending.append(pool.submit(_next, items))
            yield from made


def _next(items: Iterator[Item]) -> list[Item]:
    """The next item in a list, which is empty at the end."""
    for item in items:
        return [item]
    return []
