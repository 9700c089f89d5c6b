"""Opens a dataset by what lies at its path: this project's store, or the published LMDBs as they are."""

from __future__ import annotations

from pathlib import Path

from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import find_published, open_reference
from cromss.dataset.reference_formats import FORMATS
from cromss.dataset.store import open_store
from cromss.dataset.store_writer import holds_store
from cromss.io.lmdb_reader import is_lmdb


def open_dataset(path: str | Path, kind: str = "nol") -> LocationReader:
    """Opens a dataset of one of the published kinds.

    Args:
        path: A store (or a folder of its shards), or what was published. For ``nol`` that is a folder with three LMDBs,
            in whose names the words ``s1``, ``s2`` or ``s2c``, and ``label`` or ``labels`` stand; for the other kinds
            the LMDB itself. Shards of a store may have any name.
        kind: ``nol``, ``dw``, ``osm`` or ``dfc2020``: which layout the published files have. A store needs no telling.

    Returns:
        The reader of what was found.

    Raises:
        ValueError: Nothing that can be read lies there, or the kind is unknown.
    """
    if kind not in FORMATS:
        raise ValueError(f"kind {kind!r} is unknown: choose one of {', '.join(FORMATS)}")
    # A folder named 2020 comes from the command line as a number.
    folder = Path(str(path)).expanduser()
    is_store = any(is_lmdb(one) and holds_store(one) for one in (folder, *folder.glob("*.lmdb")))
    # The files of other kinds are named by their path, so a path that is none of them is worth a word.
    if not is_store and (find_published(folder) or not FORMATS[kind].files):
        return open_reference(folder, kind)
    return open_store(folder)
