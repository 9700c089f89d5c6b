"""Keeps two runs from writing the same shard: locks that end with the process that holds them, however it ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cromss.io.own_files import open_own

_LOCK = ".lock"


@contextmanager
def hold(folder: Path, shards: Iterable[int]) -> Iterator[None]:
    """Holds shards of a folder until the context ends; one byte of one file stands for each.

    Locks of this kind work between hosts that share a disk, where that disk supports them at all.

    Raises:
        ValueError: Another run holds one of them, or the file is a link to somewhere else.
        OSError: The folder cannot be written.
    """
    with open_own(folder / _LOCK) as file:
        for shard in shards:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, shard)
            except BlockingIOError as error:
                raise ValueError(
                    f"another run writes shard {shard:05d} of {folder}: wait for it, or stop it first; or give each "
                    "run shards of its own, as shard=0/2 and shard=1/2"
                ) from error
        yield
