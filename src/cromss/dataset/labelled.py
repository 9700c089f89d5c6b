"""Checks that locations have labels, and counts the labelled pixels of a test set."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from cromss.dataset.reader import LocationReader
from cromss.types import IGNORE_INDEX


class LabelledPixels(NamedTuple):
    """Pixels of a test set in the season that is tested.

    Attributes:
        labelled: Those with a label.
        ignored: Those without one (255), which no score counts.
    """

    labelled: int
    ignored: int


def count_labelled(reader: LocationReader, locations: Tensor, season: int) -> LabelledPixels:
    """Counts the pixels of whole patches, whatever part of them is tested.

    Reads every label of the test set, so one that cannot be read is found before the training.

    Args:
        reader: Source of the locations.
        locations: Indices, int64 ``(N,)``.
        season: The season that is tested.

    Raises:
        ValueError: No pixel has a label, or a label cannot be read.
    """
    labelled = total = 0
    for location in locations.tolist():
        labels = reader.read_labels(location)[season]
        labelled += int((labels != IGNORE_INDEX).sum())
        total += labels.size
    if total and not labelled:
        raise _none_labelled("test", len(locations), "" if reader.info.seasons == 1 else f" in season {season}")
    return LabelledPixels(labelled, total - labelled)


def check_labelled(purpose: str, reader: LocationReader, locations: Tensor) -> None:
    """Raises ValueError unless a pixel has a label; reads labels up to the first one, usually of the first location.

    Args:
        purpose: What the locations are for: ``"train"`` or ``"validate"``.
        reader: Source of the locations.
        locations: Indices, int64 ``(N,)``.
    """
    if len(locations) and all((reader.read_labels(i) == IGNORE_INDEX).all() for i in locations.tolist()):
        raise _none_labelled(purpose, len(locations), "")


def _none_labelled(purpose: str, locations: int, where: str) -> ValueError:
    return ValueError(
        f"none of the {locations} location(s) to {purpose} on has a labelled pixel{where}: all are {IGNORE_INDEX}, "
        "ignored; check the path and the label codes"
    )
