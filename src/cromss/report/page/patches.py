"""The same patches as several experiments see them, as PNGs inside the page."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from cromss.report.read import Run
from cromss.report.table import Experiment
from cromss.runs.names import PANELS
from cromss.runs.patches import Column, Patches, read_patches

SHOWN = 12
"""Experiments at most, best first: the page grows with each."""

_BY_RUN = ("prediction", "weight")
"""Beginnings of the titles of columns that depend on the run; the others are what it was given."""

Columns = dict[str, dict[str, list[str]]]
"""Title -> ``pictures``, one PNG per patch, and ``classes``, the names of those that occur in them."""


@dataclass
class Block:
    """Experiments that drew the same patches.

    Attributes:
        locations: Names of the patches.
        given: What all of them were given.
        runs: What each made of it: name, seed, epoch, and columns.
    """

    locations: Sequence[str]
    given: Columns
    runs: list[dict[str, Any]] = field(default_factory=list)


def gallery(experiments: Sequence[Experiment]) -> tuple[list[Block], list[str]]:
    """Collects the patches of the first experiments that have any, each of its first counted run.

    Two draw the same patches where names, size and labels agree: the same location under other labels is another patch.

    Args:
        experiments: Best first.

    Returns:
        One block where all patches are the same; and what a reader must know, sentences.
    """
    blocks: dict[tuple[object, ...], Block] = {}
    notes, shown, all_with = [], 0, 0
    for experiment in experiments:
        run, found = None, None
        for run in (experiment.runs[number] for number in experiment.counted):
            try:
                found = read_patches(run.path / PANELS)
            except (ValueError, OSError) as error:
                notes.append(f"Left out: {error}.")
            if found is not None:
                break
        if run is None or found is None:
            continue
        all_with += 1
        if shown < SHOWN:
            shown += 1
            given, made = ([c for c in found.columns if c.title.startswith(_BY_RUN) == own] for own in (False, True))
            block = blocks.setdefault(_identity(found), Block(found.locations, _columns(given, run)))
            about = {"name": experiment.name, "seed": run.seed, "epoch": found.epoch}
            block.runs.append({**about, "columns": _columns(made, run)})
    if len(blocks) > 1:
        notes.append("The patches are not the same in all experiments: each group is shown by itself.")
    if all_with > shown:
        notes.append(f"The best {shown} of {all_with} experiments with pictures.")
    return list(blocks.values()), notes


def _identity(patches: Patches) -> tuple[object, ...]:
    labels = next((column.values for column in patches.columns if column.kind == "classes"), np.empty(0, np.uint8))
    return (tuple(patches.locations), labels.shape, labels.tobytes())


def _columns(columns: Sequence[Column], run: Run) -> Columns:
    classes, colours = run.config["dataset"]["classes"], run.config["dataset"]["colours"]
    return {
        column.title: {
            "pictures": [_png(values, column.kind, colours) for values in column.values],
            "classes": _present(column, classes),
        }
        for column in columns
    }


def _present(column: Column, classes: Sequence[str]) -> list[str]:
    if column.kind != "classes":
        return []
    return [classes[c] if c < len(classes) else "unlabelled" for c in np.unique(column.values).tolist()]


def _png(values: np.ndarray, kind: str, colours: Sequence[str]) -> str:
    image = Image.fromarray(values)
    if kind == "classes":
        palette = np.zeros((256, 3), np.uint8)  # black for unlabelled pixels, which are 255
        known = [ImageColor.getrgb(colour)[:3] for colour in colours]
        palette[: len(known)] = np.array(known, np.uint8).reshape(-1, 3)
        image.putpalette(palette.tobytes())
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return base64.b64encode(content.getvalue()).decode()
