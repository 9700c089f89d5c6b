"""Locations with noisy labels: this project's store, or the published LMDBs as they are."""

from __future__ import annotations

from pathlib import Path

from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import open_reference
from cromss.dataset.store import open_store


def open_dataset(path: str | Path) -> LocationReader:
    """Opens pretraining data by what lies at a path.

    Args:
        path: A store (or a folder of its shards), or a folder with the three published LMDBs, whose names contain
            ``s1``, ``s2`` and ``label``.

    Returns:
        The reader of what was found.

    Raises:
        ValueError: Nothing that can be read lies there.
    """
    folder = Path(path).expanduser()
    published = folder.is_dir() and any("label" in child.name and child.suffix == ".lmdb" for child in folder.iterdir())
    return open_reference(folder, "nol") if published else open_store(folder)
