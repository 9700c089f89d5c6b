"""What classes measure in three real places, against which the material table of the embedded world was set.

Sentinel-2 L1C and Sentinel-1 images of three places of 224 x 224 px from the examples of IBM TerraMind (Apache-2.0;
contains modified Copernicus Sentinel data), pixels grouped by the class that Google's published Dynamic World model
gives them. Those labels are noisy themselves, so classes with few pixels, or in places where the map plainly errs
(roofs and "water" among the winter fields of 637U, "snow" on the sand of 282D), are left out. Each is one date of one
place: a synthetic class varies around these numbers, it does not repeat them. Trees are there twice, since the dense
tropical forest of 282D and the bare woods of 637U differ widely.
"""

import csv
from pathlib import Path
from typing import NamedTuple


class RealClass(NamedTuple):
    """Moments of one class in one place: 13 reflectances x 10000, then VV and VH in dB."""

    label: int
    place: str
    pixels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _read(file):
    with file.open(newline="") as rows:
        _, *rows = csv.reader(rows)
    for (label, place, pixels, _, *mean), (_, _, _, _, *std) in zip(rows[::2], rows[1::2], strict=True):
        yield RealClass(int(label), place, int(pixels), tuple(map(float, mean)), tuple(map(float, std)))


REAL_CLASSES = tuple(_read(Path(__file__).with_name("real_classes.csv")))
