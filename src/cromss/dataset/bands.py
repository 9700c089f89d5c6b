"""The bands of Sentinel-1 and Sentinel-2 L1C: names, wavelengths, statistics and subsets.

Means and standard deviations are those of SSL4EO-S12 (Wang et al., IEEE GRSM 2023), which CromSS pretrains on: S1 in
dB, S2 as reflectance x 10000. Products of S2 processing baseline >= 04.00 carry an offset of +1000 that must be
subtracted first. Wavelengths are those that DOFA takes (Xiong et al., 2024), in um.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Band(NamedTuple):
    """One band: its name, its wavelength in um, and mean and standard deviation in raw units."""

    name: str
    wavelength: float
    mean: float
    std: float

    @property
    def low(self) -> float:
        """Mean - 2 std: what `quantise` maps to 0."""
        return self.mean - 2 * self.std

    @property
    def high(self) -> float:
        """Mean + 2 std: what `quantise` maps to 255."""
        return self.mean + 2 * self.std


BANDS: Mapping[str, tuple[Band, ...]] = {
    "s1": (
        Band("VV", 3.75, -12.54847273, 5.25697717),
        Band("VH", 3.75, -20.19237134, 5.91150917),
    ),
    "s2": (
        Band("B1", 0.443, 1605.57504906, 786.78685367),
        Band("B2", 0.490, 1390.78157673, 850.34818441),
        Band("B3", 0.560, 1314.8729939, 875.06484736),
        Band("B4", 0.665, 1363.52445545, 1138.84957046),
        Band("B5", 0.705, 1549.44374991, 1122.17775652),
        Band("B6", 0.740, 2091.74883118, 1161.59187054),
        Band("B7", 0.783, 2371.7172463, 1274.39184232),
        Band("B8", 0.842, 2299.90463006, 1248.42891965),
        Band("B8A", 0.865, 2560.29504086, 1345.52684884),
        Band("B9", 0.940, 830.06605044, 577.31607053),
        Band("B10", 1.375, 22.10351321, 51.15431158),
        Band("B11", 1.610, 2177.07172323, 1336.09932639),
        Band("B12", 2.190, 1524.06546312, 1136.53823676),
    ),
}
"""Modality -> its bands in the order in which positions count: S2 has B8A at 8, B9 at 9, B10 at 10."""

SUBSETS: Mapping[str, tuple[int, ...]] = {
    "3": (3, 2, 1),
    "9": (1, 2, 3, 4, 5, 6, 7, 11, 12),
    "9_rgb_first": (3, 2, 1, 4, 5, 6, 7, 11, 12),  # the order of Satlas and DOFA weights
    "10": (1, 2, 3, 4, 5, 6, 7, 8, 11, 12),
    "12": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12),
    "13": tuple(range(13)),
}
"""Name of a subset of the S2 bands -> positions. S1 is always both of its bands."""

RGB = ("B4", "B3", "B2")
"""The bands of a picture in natural colours; every subset has them."""


def band_positions(modality: str, subset: int | str) -> tuple[int, ...]:
    """The positions in `BANDS` that a modality has under a subset of the S2 bands.

    Args:
        modality: ``"s1"``, which has both its bands under every subset, or ``"s2"``.
        subset: Number or name, a key of `SUBSETS`.

    Returns:
        E.g. ``(3, 2, 1)`` for ``("s2", 3)`` and ``(0, 1)`` for ``("s1", 3)``.

    Raises:
        ValueError: Unknown modality or subset; the message lists what there is.
    """
    table = BANDS[_known_modality(modality)]
    if str(subset) not in SUBSETS:
        raise ValueError(f"bands={subset!r} is no subset of the Sentinel-2 bands: choose one of {', '.join(SUBSETS)}")
    return SUBSETS[str(subset)] if modality == "s2" else tuple(range(len(table)))


def band_names(modality: str, subset: int | str) -> tuple[str, ...]:
    """The names of `band_positions`, e.g. ``("B4", "B3", "B2")`` for ``("s2", 3)``; the same errors."""
    return tuple(BANDS[modality][position].name for position in band_positions(modality, subset))


def select_bands(modality: str, bands: Sequence[int] | None = None) -> tuple[Band, ...]:
    """The bands at the given positions, or all of the modality for None.

    Raises:
        ValueError: Unknown modality, or a position that the modality does not have.
    """
    table = BANDS[_known_modality(modality)]
    positions = range(len(table)) if bands is None else bands
    if unknown := [position for position in positions if not 0 <= position < len(table)]:
        raise ValueError(f"{modality} has no band at position {unknown}: positions are 0 to {len(table) - 1}")
    return tuple(table[position] for position in positions)


def select_named(modality: str, names: Sequence[str]) -> tuple[Band, ...]:
    """The bands of these published names, in this order."""
    table = {band.name: band for band in BANDS[modality]}
    return tuple(table[name] for name in names)


def _known_modality(modality: str) -> str:
    if modality not in BANDS:
        raise ValueError(f"modality {modality!r} is unknown: choose one of {', '.join(BANDS)}")
    return modality
