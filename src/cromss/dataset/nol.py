"""Locations with noisy labels: this project's store, or the published LMDBs as they are."""

from __future__ import annotations

from pathlib import Path

from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import find_published, open_reference
from cromss.dataset.store import open_store
from cromss.dataset.store_writer import holds_store


def open_dataset(path: str | Path) -> LocationReader:
    """Opens pretraining data by what lies at a path.

    Args:
        path: A store (or a folder of its shards), or a folder with the three published LMDBs, in whose names the words
            ``s1``, ``s2`` or ``s2c``, and ``label`` or ``labels`` stand. Shards of a store may have any name.

    Returns:
        The reader of what was found.

    Raises:
        ValueError: Nothing that can be read lies there.
    """
    # A folder named 2020 comes from the command line as a number.
    folder = Path(str(path)).expanduser()
    published = find_published(folder)
    if published and not any(holds_store(child) for child in published):
        return open_reference(folder, "nol")
    return open_store(folder)
