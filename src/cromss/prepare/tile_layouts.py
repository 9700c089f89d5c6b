"""The raw tiles as data: where their files lie, of which type they are, and what their label codes mean.

Source: the Dynamic World and OSM tiles and the DFC2020 patches that CromSS was evaluated on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cromss.dataset.reference_formats import FORMATS, LABELS
from cromss.types import IGNORE_INDEX


@dataclass(frozen=True)
class TileLayout:
    """One layout of raw tiles: a file a tile for each of ``s1``, ``s2`` and ``labels``.

    Attributes:
        files: Part -> its files below the folder of the source. ``<id>`` is told by the name, all else has to match in
            upper or lower case; the ending may be ``.tiff`` as well.
        dtypes: Part -> type of its values.
        classes: Class names.
        remap: Stored label -> class from 0, or 255.
        others: What labels that `remap` does not name become; None makes them errors.
        size: Pixels on a side of all tiles; None where that of the first readable one counts.
    """

    files: Mapping[str, str]
    dtypes: Mapping[str, str]
    classes: tuple[str, ...]
    remap: Mapping[int, int]
    others: int | None
    size: int | None

    def __str__(self) -> str:
        return ", ".join(self.files.values())


def _tiles(kind: str) -> TileLayout:
    published = FORMATS[kind]
    return TileLayout(
        files={"s1": "s1/s1_<id>.tif", "s2": "s2/s2_<id>.tif", LABELS: f"{kind}/{kind}_<id>.tif"},
        dtypes={part: entry.dtype for part, entry in published.entries.items()},
        classes=published.classes,
        remap=published.remap,
        others=None,
        size=None,
    )


def _dfc2020(split: str) -> TileLayout:
    return TileLayout(
        files={
            part: f"{split}/{name}_{split}/ROIs0000_{split}_{name}_0_<id>.tif"
            for part, name in {"s1": "s1", "s2": "s2", LABELS: "dfc"}.items()
        },
        dtypes={part: entry.dtype for part, entry in FORMATS["dfc2020"].entries.items()},
        classes=FORMATS["dfc2020"].classes,
        # The codes of IGBP: forest, shrubland, grassland, wetland, cropland, urban, barren, water.
        remap={1: 1, 2: 5, 4: 2, 5: 3, 6: 4, 7: 6, 9: 7, 10: 0},
        others=IGNORE_INDEX,  # savanna, snow and whatever else was not scored
        size=256,
    )


SPLITS = ("validation", "test")
LAYOUTS: Mapping[str, TileLayout] = {
    "dw": _tiles("dw"),
    "osm": _tiles("osm"),
    **{f"dfc2020 {split}": _dfc2020(split) for split in SPLITS},
}
