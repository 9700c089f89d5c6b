"""The published formats as data: keys, types, label codes and names.

Source: the data sets published with CromSS (NoL = noisy labels for SSL4EO-S12; Dynamic World and OSM tiles; DFC2020).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cromss.dataset.classes import CLASSES
from cromss.types import IGNORE_INDEX

LABELS = "labels"
_DYNAMIC_WORLD = tuple(CLASSES["dynamic_world"])
_DFC2020 = tuple(CLASSES["dfc2020"])


class Entry(NamedTuple):
    """Where one kind of value lies: keys are `prefix` + decimal index, values have `dtype`."""

    prefix: str
    dtype: str


@dataclass(frozen=True)
class Format:
    """One published format.

    Attributes:
        entries: ``s1``, ``s2`` and ``labels`` -> where their values lie.
        classes: Class names.
        remap: Stored label -> class from 0, or 255; any other stored value is an error.
        files: Kind of value -> words that the name of its LMDB may hold; empty where one LMDB holds all.
        seasons: True where values have a leading season axis.
        ids: ``int`` or ``filename`` where a value carries its location, else ``none``.
    """

    entries: Mapping[str, Entry]
    classes: tuple[str, ...]
    remap: Mapping[int, int]
    files: Mapping[str, tuple[str, ...]]
    seasons: bool
    ids: str


def _tiles(prefix: str, classes: tuple[str, ...], unlabelled: tuple[int, ...]) -> Format:
    return Format(
        entries={"s1": Entry("s1_", "float32"), "s2": Entry("s2_", "uint16"), LABELS: Entry(prefix, "uint8")},
        classes=classes,
        remap={**{c + 1: c for c in range(len(classes))}, **dict.fromkeys(unlabelled, IGNORE_INDEX)},
        files={},
        seasons=False,
        ids="filename",
    )


FORMATS: Mapping[str, Format] = {
    "nol": Format(
        entries={"s1": Entry("", "uint8"), "s2": Entry("", "uint8"), LABELS: Entry("", "uint8")},
        classes=_DYNAMIC_WORLD,
        remap={**{c: c for c in range(len(_DYNAMIC_WORLD))}, IGNORE_INDEX: IGNORE_INDEX},
        files={"s1": ("s1",), "s2": ("s2", "s2c"), LABELS: ("label", "labels")},
        seasons=True,
        ids="int",
    ),
    "dw": _tiles("dw_", _DYNAMIC_WORLD, unlabelled=(0, 10)),  # 10: cloud
    "osm": _tiles("osm_", tuple(CLASSES["osm"]), unlabelled=(0,)),
    "dfc2020": Format(
        entries={"s1": Entry("s1_", "float64"), "s2": Entry("s2_", "uint16"), LABELS: Entry("lbl_", "uint8")},
        classes=_DFC2020,
        remap={**{c: c for c in range(len(_DFC2020))}, len(_DFC2020): IGNORE_INDEX},
        files={},
        seasons=False,
        ids="none",
    ),
}
