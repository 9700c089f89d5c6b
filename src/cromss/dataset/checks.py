"""Checks of the values that this project stores or reads."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from cromss.dataset.classes import check_class_names
from cromss.dataset.reader import DatasetInfo
from cromss.types import IGNORE_INDEX, MODALITIES

LONGEST_ID = 256
"""Most bytes of the id of a location, UTF-8."""

MOST_BYTES = 2**31
"""Most bytes of one value of a store: one season of a modality, or the labels of all seasons."""

DTYPES = ("uint8", "uint16", "float32", "float64")
"""Types that images may have."""


def check_finite(where: str, image: np.ndarray, bands: Sequence[str]) -> None:
    """Raises ValueError, starting with `where`, unless all pixels of ``(T, K, H, W)`` are finite."""
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        season, band = np.argwhere(~np.isfinite(image))[0][:2]
        raise ValueError(
            f"{where}, season {season}, band {bands[band]} holds NaN or infinite pixels: "
            "fill them in the source or leave the location out"
        )


def check_labels(where: str, labels: np.ndarray, num_classes: int) -> None:
    """Raises ValueError, starting with `where`, unless all labels are ``0 .. num_classes - 1`` or 255."""
    wrong = (labels >= num_classes) & (labels != IGNORE_INDEX)
    if labels.dtype.kind != "u":
        wrong |= labels < 0
    if wrong.any():
        values = np.unique(labels[wrong])[:10].tolist()
        raise ValueError(f"{where}: values {values} are none of 0..{num_classes - 1} (classes) and 255 (no label)")


def check_array(where: str, array: np.ndarray, shape: tuple[int, ...], dtype: str) -> None:
    """Raises ValueError, starting with `where`, unless shape and type are as declared."""
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{where} is {array.dtype} {array.shape}: the store holds {dtype} {shape}")


class InvalidIdError(ValueError):
    """The id of a location is empty, too long or cannot be printed."""


def check_location_id(location_id: str) -> None:
    """Raises InvalidIdError unless an id has 1 to `LONGEST_ID` bytes of printable characters."""
    if not location_id.isprintable():
        raise InvalidIdError(f"the id {location_id!r} holds characters that cannot be printed")
    if not 0 < len(location_id.encode()) <= LONGEST_ID:
        raise InvalidIdError(f"an id has 1 to {LONGEST_ID} bytes")


def check_info(info: DatasetInfo) -> None:
    """Raises ValueError unless a store can hold what `info` describes."""
    unknown = [name for name in info.modalities if name not in MODALITIES]
    if unknown or not info.modalities:
        raise ValueError(f"modalities {list(info.modalities)}: a store holds some of {', '.join(MODALITIES)}")
    for name, stored in info.modalities.items():
        if stored.dtype not in DTYPES or not stored.bands:
            raise ValueError(f"{name} has {len(stored.bands)} bands of {stored.dtype}: allowed are {', '.join(DTYPES)}")
        _check_bands(name, stored.bands)
        if stored.quantised and stored.dtype != "uint8":
            raise ValueError(f"{name} is quantised and {stored.dtype}: quantised values are uint8")
    check_class_names(info.classes)
    if info.seasons < 1 or min(info.size) < 1:
        raise ValueError(f"{info.seasons} seasons of {info.size} px: both have to be positive")
    largest = {
        name: len(stored.bands) * prod(info.size) * np.dtype(stored.dtype).itemsize
        for name, stored in info.modalities.items()
    }
    for name, size in {**largest, "labels": info.seasons * prod(info.size)}.items():
        if size > MOST_BYTES:
            raise ValueError(
                f"{name} would take {size} bytes per location, more than the {MOST_BYTES} that are read at once: cut "
                "the locations into smaller ones"
            )


def _check_bands(modality: str, names: Sequence[str]) -> None:
    """Raises ValueError unless band names are printable, not empty and distinct."""
    for name in names:
        if not name.strip() or not name.isprintable():
            raise ValueError(f"bands of {modality}: {name!r} is empty or cannot be printed")
        if names.count(name) > 1:
            raise ValueError(f"bands of {modality}: {name!r} occurs twice")
