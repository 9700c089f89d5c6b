"""The pixels behind the last picture of a run: small, without pickle, and read without torch."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cromss.io.atomic import write_file
from cromss.runs.names import PATCHES

FORMAT = 1
"""Version of the layout of `PATCHES`."""

_AXES = {"image": 4, "classes": 3, "weight": 3}


@dataclass(frozen=True)
class Column:
    """One column of a picture, of all patches.

    Attributes:
        title: Heading, e.g. ``"prediction s2"``.
        kind: ``"image"`` (B, H, W, 3) or ``"weight"`` (B, H, W), 0 to 255 for 0 to 1; ``"classes"`` (B, H, W), 255 for
            unlabelled pixels.
        values: uint8.
    """

    title: str
    kind: str
    values: np.ndarray


@dataclass(frozen=True)
class Patches:
    """The last picture of a run, in pixels.

    Attributes:
        epoch: When it was drawn, counted from 0.
        locations: Name of each patch's location in its source.
        columns: All with as many patches as `locations`, of one size.
    """

    epoch: int
    locations: Sequence[str]
    columns: Sequence[Column]


def write_patches(folder: Path, patches: Patches) -> None:
    """Writes `PATCHES` into a folder as a whole; OSError where it cannot be written."""
    kinds = [{"title": column.title, "kind": column.kind} for column in patches.columns]
    head = {"format": FORMAT, "epoch": patches.epoch, "locations": list(patches.locations), "columns": kinds}
    arrays = {f"column_{number}": column.values for number, column in enumerate(patches.columns)}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, head=np.array(json.dumps(head)), **arrays)
    write_file(folder / PATCHES, content.getbuffer())


def read_patches(folder: Path) -> Patches | None:
    """Reads `PATCHES` of a folder; None where there is none.

    Raises:
        ValueError: It is damaged, or of another version.
        OSError: It cannot be read.
    """
    path = folder / PATCHES
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            head = json.loads(str(found["head"]))
            if head["format"] != FORMAT:
                raise ValueError(f"format {head['format']}, and this program reads {FORMAT}")
            columns = [_column(kind, found[f"column_{n}"], head) for n, kind in enumerate(head["columns"])]
            return Patches(int(head["epoch"]), [str(name) for name in head["locations"]], columns)
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged ({error}): the next picture of the run replaces it") from error


def _column(kind: Mapping[str, str], values: np.ndarray, head: Mapping[str, Sequence[str]]) -> Column:
    column = Column(str(kind["title"]), str(kind["kind"]), values)
    expected = _AXES.get(column.kind)
    if values.dtype != np.uint8 or values.ndim != expected or len(values) != len(head["locations"]):
        raise ValueError(f"{column.title} is {column.kind} {values.dtype} {values.shape}")
    return column
