"""Whether locations have labels at all, and how many pixels of a test set do."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from cromss.dataset.reader import LocationReader
from cromss.types import IGNORE_INDEX


@dataclass(frozen=True)
class LabelledPixels:
    """Pixels of a test set in the season that is tested.

    Attributes:
        labelled: Those with a label.
        ignored: Those without one (255), which no score counts.
    """

    labelled: int
    ignored: int


def count_labelled(reader: LocationReader, locations: Tensor, season: int) -> LabelledPixels:
    """Counts the pixels of a test set, whole patches whatever part of them is tested.

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
    if len(locations) and not labelled:
        _refuse("test", len(locations), "" if reader.info.seasons == 1 else f" in season {season}")
    return LabelledPixels(labelled, total - labelled)


def check_labelled(purpose: str, reader: LocationReader, locations: Tensor) -> None:
    """Reads labels until one has a labelled pixel, which is usually the first.

    Args:
        purpose: What the locations are for: ``"train"`` or ``"validate"``.
        reader: Source of the locations.
        locations: Indices, int64 ``(N,)``.

    Raises:
        ValueError: None has.
    """
    if len(locations) and all((reader.read_labels(i) == IGNORE_INDEX).all() for i in locations.tolist()):
        _refuse(purpose, len(locations), "")


def _refuse(purpose: str, locations: int, where: str) -> None:
    raise ValueError(
        f"none of the {locations} location(s) to {purpose} on has a labelled pixel{where}: all are {IGNORE_INDEX}, "
        "ignored; check the path and the label codes"
    )
