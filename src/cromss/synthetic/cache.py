"""Keeps generated locations in a store, so that they are made once and read like any other dataset."""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cromss.dataset.convert import convert
from cromss.dataset.reader import ExactLabels
from cromss.dataset.store import Store, open_store
from cromss.io.own_files import open_own
from cromss.io.user_paths import expanded
from cromss.synthetic.reader import SyntheticReader

log = logging.getLogger(__name__)


def open_synthetic(cache: str | Path, locations: int, **world: Any) -> Store:
    """Opens the embedded dataset, and generates it first where the cache does not hold it.

    Args:
        cache: Folder of the cache; each set of parameters has a store of its own there.
        locations: Number of locations, at least 1.
        world: See `cromss.synthetic.generate_location`.

    Returns:
        A store of quantised images, noisy labels and truth.

    Raises:
        ValueError: A parameter is out of range, or what the cache holds is damaged.
        OSError: The cache cannot be written.
    """
    reader = SyntheticReader(locations, **world)
    path = expanded(cache, "dataset.cache") / f"synthetic-{locations}x{reader.world.size}px-{_digest(reader)}"
    # Without the lock, which a cache that may only be read has no room for.
    if not path.exists():
        with _alone(path):
            if not path.exists():
                log.info("generating the embedded dataset, once: %s", path)
                convert(reader, path, quantised=True, compression={"labels": "zstd", "truth": "zstd"}, overwrite=False)
    try:
        return open_store(path)
    except ValueError as error:
        raise ValueError(
            f"{error}. It is the cache of the embedded dataset: remove {path}, and the next run generates it again"
        ) from error


def _digest(reader: SyntheticReader) -> str:
    """Tells datasets apart by their parameters and by the code that makes them: other code makes other pixels."""
    content = hashlib.sha256(f"{len(reader)} {reader.world.model_dump_json()}".encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        content.update(source.read_bytes())
    return content.hexdigest()[:12]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Of several processes that start at once, one generates and the others wait for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_own(path.with_name(f".{path.name}.lock"))
    except OSError as error:
        raise OSError(
            f"the embedded dataset cannot be kept in {path.parent} ({error.strerror}): set dataset.cache=FOLDER to one "
            "that this user may write"
        ) from error
    with file as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_synthetic_exact(**parameters: Any) -> ExactLabels:
    """The embedded dataset with its exact labels; parameters and errors of `open_synthetic`."""
    return ExactLabels(open_synthetic(**parameters))
