"""Classes of a task: the published label sets, allowed names, and their form in names of metrics."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from cromss.io.plain import printable, shown

CLASSES: Mapping[str, Mapping[str, str]] = {
    # Google Dynamic World in its own colours; also the noisy labels (NoL) of SSL4EO-S12.
    "dynamic_world": {
        "water": "#419bdf",
        "trees": "#397d49",
        "grass": "#88b053",
        "flooded vegetation": "#7a87c6",
        "crops": "#e49635",
        "shrub & scrub": "#dfc35a",
        "built area": "#c4281b",
        "bare ground": "#a59b8f",
        "snow & ice": "#b39fe1",
    },
    # IEEE GRSS Data Fusion Contest 2020, in the order and the colours of Dynamic World.
    "dfc2020": {
        "water": "#419bdf",
        "forest": "#397d49",
        "grassland": "#88b053",
        "wetland": "#7a87c6",
        "cropland": "#e49635",
        "shrubland": "#dfc35a",
        "urban": "#c4281b",
        "barren": "#a59b8f",
    },
    # OpenStreetMap land use, stored code = position + 1. The legend of the reference program and the paper's figure
    # list the names in different orders: what a class is called is uncertain, numbers and scores are not.
    "osm": {
        "urban fabric": "#e6004d",
        "arable land": "#ffffa8",
        "forest": "#00a600",
        "industrial, commercial & transport": "#cc4df2",
        "artificial non-agricultural vegetation": "#ffa6ff",
        "mine, dump & construction": "#a600cc",
        "pastures": "#e6e64d",
        "permanent crops": "#f2a64d",
        "water bodies": "#00ccf2",
        "open spaces": "#cccccc",
        "shrub & herbaceous": "#a6f200",
        "wetlands": "#a6a6ff",
        "coastal wetlands": "#ccccff",
    },
}
"""Label set -> class names, in the order of their numbers in memory -> usual colour."""

MOST_CLASSES = 255
"""Labels are bytes, and 255 marks a pixel without a label."""

_LONGEST_NAME, _LONGEST_KEY = 1000, 64

_UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 or UTF-8 cannot store, or turns into something else."""


def check_class_names(names: Any, key: str = "classes") -> tuple[str, ...]:
    """Checks the class names of a task, wherever they come from.

    Args:
        names: The names in a setting or a file.
        key: Name of the setting in messages, e.g. ``"dataset.classes"``.

    Returns:
        The names.

    Raises:
        ValueError: They are no list of 2 to 255 distinct strings, or one is blank, longer than 1000 characters, begins
            or ends with white space, or holds a character that XML or UTF-8 cannot store as it is.
    """
    if not isinstance(names, Sequence) or isinstance(names, str | bytes):
        raise ValueError(f"{key}={shown(names)} must be a list of class names")
    if not 2 <= len(names) <= MOST_CLASSES:
        raise ValueError(
            f"{key} names {len(names)} class{'es' * (len(names) != 1)}: a segmentation needs 2 to {MOST_CLASSES}; "
            "where one class is of interest, name the background as the other"
        )
    first: dict[str, int] = {}
    for number, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(f"{key}: class {number} is {shown(name)}, no string: quote it, e.g. '{shown(name)}'")
        if not name.strip():
            raise ValueError(f"{key}: the name of class {number} is blank: give each class a name")
        if name != name.strip():
            raise ValueError(
                f"{key}: the name of class {number}, '{shown(name)}', begins or ends with a space: remove it"
            )
        if len(name) > _LONGEST_NAME:
            raise ValueError(
                f"{key}: the name of class {number}, {shown(name)}, has {len(name)} characters: shorten it to at most "
                f"{_LONGEST_NAME}"
            )
        if _UNWRITABLE.search(name):
            raise ValueError(
                f"{key}: the name of class {number}, {shown(name)}, holds a control character or half of a surrogate "
                "pair, which maps and tables cannot store: remove it"
            )
        if first.setdefault(name, number) != number:
            raise ValueError(
                f"{key}: classes {first[name]} and {number} are both named {shown(name)}: class names must be distinct"
            )
    return tuple(names)


def metric_keys(classes: Sequence[str]) -> tuple[str, ...]:
    """The part of a metric's name that stands for each class, e.g. ``"built_area"`` in ``val/s2/iou/built_area``.

    A name is reduced to ASCII letters, digits and underscores. A name in a script that ASCII cannot spell is called by
    its number, ``"class_3"``; of several names that are reduced to the same key, the later ones end in their numbers.

    Args:
        classes: Distinct class names.

    Returns:
        One distinct key of ``[a-z0-9_]`` for each class, at most 64 characters long but for what makes it distinct.
    """
    spelled = [_spelled(name) for name in classes]
    keys: list[str] = []
    for number, key in enumerate(spelled):
        if key is None or key in keys:
            key = f"class_{number}" if key is None else f"{key}_{number}"
            while key in keys or key in spelled:
                key += f"_{number}"
        keys.append(key)
    return tuple(keys)


def _spelled(name: str) -> str | None:
    """A name in ``[a-z0-9_]``; None where that would drop letters or leave none."""
    # As in the files of a run, where control characters are escaped: both forms of a name have one key.
    folded = unicodedata.normalize("NFKD", printable(name).casefold())
    if any(letter.isalnum() and not letter.isascii() for letter in folded):
        return None
    key = re.sub("[^a-z0-9]+", "_", "".join(letter for letter in folded if not unicodedata.combining(letter)))
    return key[:_LONGEST_KEY] if key.strip("_") else None
