"""Source ``reference``: the published LMDBs of pickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cromss.dataset.reference import ReferenceReader, open_reference


def open_published(path: str | Path | Mapping[str, str | Path], kind: str) -> ReferenceReader:
    """Opens published LMDBs; see `open_reference`."""
    return open_reference(path, kind)
