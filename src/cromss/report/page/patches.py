"""The same patches as several experiments see them, as PNGs inside the page."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from cromss.report.page.experiments import PageExperiment
from cromss.runs.names import PANELS
from cromss.runs.patches import Column, Patches, read_patches

log = logging.getLogger(__name__)

SHOWN = 12
"""Experiments at most, best first: the page grows with each."""

_BY_RUN = ("prediction", "weight")
"""Beginnings of the titles of columns that depend on the run; the others are what it was given."""


@dataclass
class Block:
    """Experiments that drew the same patches.

    Attributes:
        locations: Names of the patches.
        left: Title -> PNG a patch, of what all of them were given.
        runs: What each made of it: name, seed, epoch, and title -> PNG a patch.
    """

    locations: Sequence[str]
    left: dict[str, list[str]]
    runs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Gallery:
    """All patches of a page.

    Attributes:
        blocks: One where all patches are the same.
        notes: What a reader must know, sentences.
    """

    blocks: Sequence[Block]
    notes: Sequence[str]


def gallery(experiments: Sequence[PageExperiment]) -> Gallery:
    """Collects the patches of the first experiments that have any, each of its first counted run.

    Two draw the same patches where names, size and labels agree: the same place under other labels is another patch.

    Args:
        experiments: Best first.
    """
    blocks: dict[tuple[object, ...], Block] = {}
    notes, shown, all_with = [], 0, 0
    for experiment in experiments:
        found = None
        for number in experiment.counted:
            try:
                found = read_patches(experiment.runs[number].path / PANELS)
            except (ValueError, OSError) as error:
                log.warning("Left out: %s", error)
                notes.append(f"Left out: {error}.")
            if found is not None:
                break
        if found is None:
            continue
        all_with += 1
        if shown < SHOWN:
            shown += 1
            run = experiment.runs[number]
            colours = run.config["dataset"]["colours"]
            given = [column for column in found.columns if not column.title.startswith(_BY_RUN)]
            made = [column for column in found.columns if column.title.startswith(_BY_RUN)]
            block = blocks.setdefault(
                _identity(found), Block(found.locations, {column.title: _pngs(column, colours) for column in given})
            )
            pictures = {column.title: _pngs(column, colours) for column in made}
            about = {"name": experiment.name, "seed": run.seed, "epoch": found.epoch}
            block.runs.append({**about, "columns": pictures})
    if len(blocks) > 1:
        notes.append("The patches are not the same in all experiments: each group stands by itself.")
    if all_with > shown:
        notes.append(f"The best {shown} of {all_with} experiments with pictures.")
    return Gallery(list(blocks.values()), notes)


def _identity(patches: Patches) -> tuple[object, ...]:
    labels = next((column.values for column in patches.columns if column.kind == "classes"), np.empty(0, np.uint8))
    return (tuple(patches.locations), labels.shape, labels.tobytes())


def _pngs(column: Column, colours: Sequence[str]) -> list[str]:
    return [_png(values, column.kind, colours) for values in column.values]


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
