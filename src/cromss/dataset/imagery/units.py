"""Units of pixel values: how each becomes the published one, and which ones an image seems to be in.

Published units are dB for S1 and reflectance x 10000 for S2. The verdict looks at percentiles of known pixels beside
what the published statistics allow, so that a single odd pixel cannot change it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cromss.dataset.bands import Band

AUTO = "auto"
QUANTISED = "quantised"

UNITS: Mapping[str, Mapping[str, str]] = {
    "s1": {
        "db": "dB",
        "linear": "backscatter in linear units",
        "amplitude": "the root of backscatter in linear units",
        "db_100": "dB x 100",
        QUANTISED: "uint8 from `quantise`",
    },
    "s2": {
        "dn": "reflectance x 10000",
        "reflectance": "reflectance, 0 to 1",
        "percent": "reflectance in percent, 0 to 100",
        QUANTISED: "uint8 from `quantise`",
    },
}
"""Modality -> settings of its units -> what they mean. The first of each are the published ones."""

PUBLISHED: Mapping[str, str] = {modality: next(iter(units)) for modality, units in UNITS.items()}
"""Modality -> the setting that stands for the published units."""

_FACTORS = {"dn": 1.0, "reflectance": 1e4, "percent": 1e2, "db": 1.0, "db_100": 0.01}

_SENTINEL = -6000
"""No measured value is this low, in any of the units; dB x 100 reach -5000."""

_LARGEST_SHARE, _LARGEST_PERCENT = 3, 120
"""Clouds and glint reach a reflectance of 2; reflectance x 10000 of the brightest band is higher over any water."""

_DARKEST_SHARE = 0.003
"""Reflectance that the brightest band of a location exceeds, even over deep water: less has been scaled twice."""

_LARGEST_TYPICAL = 16_000
"""Half of the pixels of a location hardly exceed a reflectance of 1 in any band."""

_HIGHEST_TYPICAL_DB, _LOWEST_TYPICAL_DB = -2, -70
"""VH stays below the first by far even in a city; noise ends far above the second."""

_BELOW_ZERO = -150
"""Reflectance x 10000 that the half of a band's pixels cannot lie below: processing errors are smaller."""


def check_setting(modality: str, units: str) -> None:
    """ValueError, which names what is allowed, unless `units` is a key of `UNITS`, or ``"auto"``."""
    if not isinstance(units, str) or (units != AUTO and units not in UNITS[modality]):
        raise ValueError(f"units.{modality}={units!r} is unknown: choose one of {AUTO}, {', '.join(UNITS[modality])}")


def to_published(values: np.ndarray, units: str) -> np.ndarray:
    """Values in units of a key of `UNITS` to dB or reflectance x 10000; NaN where there is none, as for linear 0."""
    if units in ("linear", "amplitude"):
        with np.errstate(divide="ignore", invalid="ignore"):
            decibels = (10 if units == "linear" else 20) * np.log10(values)
        return np.where(values > 0, decibels, np.nan).astype(np.float32)
    factor = _FACTORS.get(units, 1.0)
    return values if factor == 1 else values * np.float32(factor)


def units_of_scale(modality: str, scale: float) -> str:
    """The units that values have after a file's own scale was applied, as the scale shows what the integers mean.

    Reflectance x 10000 is what the integers of products are, so a scale of 0.0001 makes reflectance of them.
    """
    if modality == "s1":
        return "db"
    return min(("dn", "reflectance", "percent"), key=lambda units: abs(np.log10(abs(scale) * _FACTORS[units])))


def verdict(modality: str, values: np.ndarray, bands: Sequence[Band], quantised: bool) -> str | None:
    """The likely units of known pixels.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        values: ``(K, n)``, known pixels of each band.
        bands: The K bands.
        quantised: Whether the values are meant to be `quantise` output.

    Returns:
        A key of `UNITS`, ``"linear"`` for the amplitude too; None where they fit none of them.
    """
    usable = np.isfinite(values) & (values > _SENTINEL) & (values != np.iinfo(np.uint16).max)
    kept = values[:, usable.all(axis=0)]
    if not kept.size:
        return QUANTISED if quantised else PUBLISHED[modality]
    low, middle, high = np.percentile(kept, (5, 50, 90), axis=1)
    if quantised:
        return _quantised_verdict(modality, low, middle, high, bands)
    return (_radar_verdict if modality == "s1" else _optical_verdict)(low, middle, high)


def _optical_verdict(low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> str | None:
    brightest = high.max()
    if brightest < _DARKEST_SHARE:
        return None
    for units, largest in (("reflectance", _LARGEST_SHARE), ("percent", _LARGEST_PERCENT)):
        if brightest <= largest:
            # Standardised values lie on both sides of 0.
            return units if low.min() > -largest / 10 and brightest > 0 else None
    return "dn" if middle.max() <= _LARGEST_TYPICAL and middle.min() > _BELOW_ZERO else None


def _radar_verdict(low: np.ndarray, middle: np.ndarray, high: np.ndarray) -> str | None:
    darkest = middle.min()
    if darkest > _HIGHEST_TYPICAL_DB:
        return "linear" if low.min() > -0.05 and high.max() <= 50 else None
    if darkest >= _LOWEST_TYPICAL_DB:
        return "db"
    return "db_100" if _HIGHEST_TYPICAL_DB > darkest / 100 > _LOWEST_TYPICAL_DB and darkest < -400 else None


def _quantised_verdict(
    modality: str, low: np.ndarray, middle: np.ndarray, high: np.ndarray, bands: Sequence[Band]
) -> str | None:
    if modality == "s1":
        return QUANTISED if high.max() > 2 else None
    # No reflectance is negative, and so the mean - 2 std, which 0 stands for, is far from what most bands can have.
    lowest = np.array([min(0, band.low) for band in bands])
    negative = np.maximum(lowest / 2, _BELOW_ZERO)
    dark, typical = (
        np.array([band.low + value * (band.high - band.low) / 255 for band, value in zip(bands, values, strict=True)])
        for values in (low, middle)
    )
    # The atmosphere leaves so little in B10 that any other 8 bits have it near 0, where quantised ones have 100.
    if any(band.name == "B10" and one < limit for band, one, limit in zip(bands, typical, negative, strict=True)):
        return None
    return QUANTISED if np.sum(dark < negative) < max(1, len(bands) / 4) else None


def check_units(
    modality: str, found: str | None, units: str, given: bool, values: np.ndarray, has_setting: bool = True
) -> None:
    """Compares a verdict with the units that an image is read in.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        found: The `verdict`.
        units: Units that the values are taken to be in.
        given: Whether the user set these units.
        values: ``(K, n)`` that the verdict was made of, for the message.
        has_setting: Whether the user has a setting for them.

    Raises:
        ValueError: They differ. What the user calls published units is accepted.
    """
    if found == units or (given and (found is None or units == PUBLISHED[modality])):
        return
    if found == "linear" and units == "amplitude":
        return
    finite = values[np.isfinite(values)]
    low, middle, high = np.percentile(finite, (1, 50, 99))
    seems = f"which seems to be {UNITS[modality][found]}" if found else f"which fits none of {_listed(modality)}"
    needed = UNITS[modality][units]
    cure = f"set units.{modality}={found or '…'}" if has_setting else "convert the file"
    if has_setting and not found:
        cure += " to what they are, or convert the file"
    raise ValueError(
        f"values of 1 % / 50 % / 99 % of the pixels are {low:.4g} / {middle:.4g} / {high:.4g}, {seems}; {needed} "
        f"{'was set' if given else 'is needed'}: {cure}"
    )


def _listed(modality: str) -> str:
    return ", ".join(f"{units} ({meaning})" for units, meaning in UNITS[modality].items())
