"""Writes the classes that a test predicts, one file per location and branch."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import lightning as L
import numpy as np
from matplotlib.colors import to_rgb
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from torch import Tensor

from cromss.dataset.datamodule import LocationDataModule
from cromss.io.atomic import write_file
from cromss.types import IGNORE_INDEX, Batch

PROFILES: Mapping[str, Mapping[str, Any]] = {
    "png": {"driver": "PNG"},
    "tif": {"driver": "GTiff", "compress": "deflate", "nodata": IGNORE_INDEX},
}
"""File ending -> what rasterio needs to write it."""


_LONGEST_STEM = 120
"""Bytes; file systems take 255 with branch, ending and what a partial file is called."""


class PredictionFiles(L.Callback):
    """Writes ``<folder>/<location>_<branch>.<png|tif>``: class numbers with a colour table and class names.

    A GeoTIFF has the georeference of its images, if they have one. Where only the centre of patches is tested, files
    show that part and have its georeference.

    Args:
        folder: Where the files go; it is made.
        kind: ``"png"`` or ``"tif"``.
        classes: Class names.
        colours: One colour per class, as ``"#rrggbb"``.

    Raises:
        ValueError: Another kind.
    """

    def __init__(self, folder: Path, kind: str, classes: Sequence[str], colours: Sequence[str]) -> None:
        if kind not in PROFILES:
            raise ValueError(f"trainer.predictions={kind} is unknown: choose one of none, {', '.join(PROFILES)}")
        self.folder = folder
        self.kind = kind
        self.profile = PROFILES[kind]
        self.classes = list(classes)
        self.palette = [tuple(round(255 * part) for part in to_rgb(colour)) for colour in colours[: len(classes)]]

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Writes the files of a batch; samples that only pad the batch have none."""
        data: LocationDataModule = trainer.datamodule  # type: ignore[attr-defined]
        reader = data.test_reader
        predicted: Mapping[str, Tensor] = outputs
        self.folder.mkdir(parents=True, exist_ok=True)
        height, width = reader.info.size
        rows, columns = data.test_geometry.inner(height, width)
        top, left = data.test_geometry.corner(height, width)
        for branch, classes in predicted.items():
            maps = classes[:, rows, columns].to("cpu").numpy().astype(np.uint8)
            for location, labels in zip(batch.locations, maps, strict=True):
                if location >= 0:
                    grid = _moved(reader.grid(location), top, left)
                    name = f"{file_stem(reader.location_id(location))}_{branch}.{self.kind}"
                    write_file(self.folder / name, self._encoded(labels, grid))

    def _encoded(self, labels: np.ndarray, grid: Mapping[str, Any]) -> bytes:
        height, width = labels.shape
        with warnings.catch_warnings(), MemoryFile() as file:
            # Published tiles have no georeference.
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with file.open(height=height, width=width, count=1, dtype="uint8", **self.profile, **grid) as map_:
                map_.write(labels, 1)
                map_.write_colormap(1, dict(enumerate(self.palette)))
                map_.update_tags(1, **{f"CLASS_{c}": name for c, name in enumerate(self.classes)})
            return file.read()


def file_stem(location_id: str) -> str:
    """A file name for a location: its id where that is a valid name, and a different name for every other id.

    Characters that a file name cannot hold are written as ``%2F``; a name that is too long ends in ``%-`` and a
    checksum.
    """
    stem = "".join(
        character
        if character.isprintable() and character not in "%/\\"
        else quote(character.encode("utf-8", "backslashreplace"), safe="")
        for character in location_id
    )
    if stem.startswith("."):
        stem = f"%2E{stem[1:]}"
    if len(stem.encode()) <= _LONGEST_STEM:
        return stem
    digest = hashlib.sha256(location_id.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return f"{stem.encode()[: _LONGEST_STEM - 32].decode(errors='ignore')}%-{digest}"


def _moved(grid: Mapping[str, Any] | None, top: int, left: int) -> Mapping[str, Any]:
    """Grid of a part that begins `top` rows and `left` columns within another; empty if that one is not known."""
    if grid is None:
        return {}
    a, b, c, d, e, f = tuple(grid["transform"])[:6]
    return {**grid, "transform": Affine(a, b, c + a * left + b * top, d, e, f + d * left + e * top)}
