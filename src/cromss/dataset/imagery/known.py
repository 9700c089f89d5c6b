"""Which pixels of an image are known: one rule for missing pixels, whether a file declares them or not.

A pixel is unknown where

- a mask or an alpha band of the file says so,
- any band is NaN or infinite,
- any band holds a value that no measured pixel can have, declared as nodata or not, such as -9999, or
- all bands hold a value that stands for missing pixels and that a measured pixel can have in one band: the declared
  nodata, or 0, 32767 and 65535 of S2 (0 over dark water in one band is real), or 0 dB of S1, as at its borders.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

POSSIBLE: Mapping[str, tuple[float, float]] = {"s1": (-80, 60), "s2": (-2000, 65535)}
"""Modality -> values in published units between which a measured pixel lies, the first excluded."""

_FILL: Mapping[str, tuple[float, ...]] = {"s1": (0,), "s2": (0, 32767, 65535)}
"""Modality -> values that stand for missing pixels where all bands hold them, in the units of the file."""


def fill_values(modality: str, quantised: bool, nodata: float | None) -> tuple[float, ...]:
    """Values of one band that make a pixel unknown where all bands hold one of theirs.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        quantised: Whether the values are `quantise` output: 0 of S1 is dark water then, and no S2 pixel is 0 in all
            bands.
        nodata: The declared nodata of the band.
    """
    undeclared = (0.0,) if quantised and modality == "s2" else () if quantised else _FILL[modality]
    return undeclared if nodata is None or np.isnan(nodata) else (*dict.fromkeys((*undeclared, nodata)),)


def all_filled(image: np.ndarray, fills: Sequence[Sequence[float]]) -> np.ndarray:
    """``(h, w)``: where all bands of ``(K, h, w)`` hold one of their fill values."""
    if set(fills) == {(0.0,)}:
        return np.logical_not(image.any(axis=0))
    filled = np.ones(image.shape[1:], bool)
    for plane, values in zip(image, fills, strict=True):
        filled &= np.isin(plane, values) if len(values) > 1 else plane == values[0] if values else False
        if not filled.any():
            break
    return filled


def impossible_nodata(modality: str, quantised: bool, nodata: float | None, published: float) -> bool:
    """Whether a declared nodata value, `published` in published units, is one that no measured pixel has."""
    if nodata is None:
        return False
    if quantised:
        return not 0 <= nodata <= 255
    lowest, highest = POSSIBLE[modality]
    return not (lowest < published <= highest) or published == lowest


def impossible(modality: str, image: np.ndarray) -> np.ndarray:
    """``(h, w)``: where any band of ``(K, h, w)``, in published units, is NaN or an impossible value."""
    lowest, highest = POSSIBLE[modality]
    if image.dtype.kind == "u" and np.iinfo(image.dtype).max <= highest:
        return np.zeros(image.shape[1:], bool)
    # Written so that NaN is impossible too.
    return np.logical_not(np.all((image > lowest) & (image <= highest), axis=0))
