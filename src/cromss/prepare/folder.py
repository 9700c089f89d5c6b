"""Source ``folder``: a folder of GeoTIFFs a location."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cromss.dataset.folder import FolderReader


def open_folder(
    path: str | Path, files: Mapping[str, str], labels: str, truth: str | None, classes: Sequence[str], s2_offset: int
) -> FolderReader:
    """Opens the folder after a look at the header of every file; see `FolderReader`."""
    return FolderReader(path, files, labels, truth, classes, s2_offset)
