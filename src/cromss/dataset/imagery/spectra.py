"""Checks whether the values of an image contradict the assumed order of its bands.

Only for images that name no band: a warning then says what speaks against the published order. What it looks at holds
over water, vegetation, deserts, snow and clouds alike, as the atmosphere makes it: it absorbs nearly all of B10 and
much of B9, and scatters short wavelengths more, so that the darkest pixels darken from B1 to B4. Neighbouring bands
also resemble each other more than others. Of radar, VV is stronger than VH.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cromss.dataset.bands import BANDS

_FEWEST = 100
"""Known pixels below which values prove nothing."""

_STRONGER = 1
"""dB by which VH has to be stronger than VV: by far more than a difference in calibration."""

_DARKER = 0.5
"""Share of the darkest other band that B10 stays below; three real locations have 0.01 to 0.13."""

_LESS_SCATTERED = 0.1
"""Logarithm of the ratio by which another order has to bring the darkest pixels closer to falling brightness."""

_SIMILAR = 0.01
"""What the correlations of neighbours in another order have to gain in sum."""

_USUAL_ORDERS: Mapping[str, str] = {
    "red first": "B4 B3 B2 B1 B5 B6 B7 B8 B8A B9 B10 B11 B12",
    "blue, green, red first": "B2 B3 B4 B1 B5 B6 B7 B8 B8A B9 B10 B11 B12",
    "red, green, blue, near infrared first": "B4 B3 B2 B8 B1 B5 B6 B7 B8A B9 B10 B11 B12",
    "blue, green, red, near infrared first": "B2 B3 B4 B8 B1 B5 B6 B7 B8A B9 B10 B11 B12",
    "B1 and B8 exchanged with red first": "B4 B3 B2 B8 B5 B6 B7 B1 B8A B9 B10 B11 B12",
}
"""Orders that exist in which B9 and B10 are where they are in the published one; others show by these two."""

_NAMES = tuple(band.name for band in BANDS["s2"])


def doubt_order(modality: str, values: np.ndarray) -> str | None:
    """What speaks against the published order of the bands; None where nothing clearly does.

    Args:
        modality: ``"s1"`` or ``"s2"``.
        values: ``(K, N)`` of known pixels, of all bands of the modality, in dB or reflectance x 10000 without offset.
            Quantised values no longer differ enough between bands.
    """
    if values.shape[1] < _FEWEST:
        return None
    values = values.astype(np.float64)
    return _doubt_radar(values) if modality == "s1" else _doubt_optical(values)


def _doubt_radar(values: np.ndarray) -> str | None:
    stronger = float(np.median(values[1] - values[0]))
    return f"VH is stronger than VV by {stronger:.1f} dB" if stronger > _STRONGER else None


def _doubt_optical(values: np.ndarray) -> str | None:
    middle = dict(zip(_NAMES, np.median(values, axis=1), strict=True))
    others = min(_NAMES[: _NAMES.index("B10")], key=lambda name: middle[name])
    if middle["B10"] > _DARKER * middle[others]:
        return f"B10, which the atmosphere darkens, is at {middle['B10']:.0f} and {others} at {middle[others]:.0f}"
    if middle["B9"] > middle["B8A"]:
        return f"B9, which water vapour darkens, is at {middle['B9']:.0f} and B8A at {middle['B8A']:.0f}"
    dark = np.log(np.maximum(np.percentile(values, 5, axis=1), 1))
    with np.errstate(divide="ignore", invalid="ignore"):  # of a band that is constant
        similar = np.nan_to_num(np.corrcoef(values))
    scattered, resembling = _plausibility(dark, similar)
    for order, names in _USUAL_ORDERS.items():
        found = [names.split().index(name) for name in _NAMES]
        theirs = _plausibility(dark[found], similar[np.ix_(found, found)])
        if theirs[0] > scattered + _LESS_SCATTERED and theirs[1] > resembling + _SIMILAR:
            return f"dark pixels and neighbouring bands look like another order ({order})"
    return None


def _plausibility(dark: np.ndarray, similar: np.ndarray) -> tuple[float, float]:
    """How little B1 to B4 rise in dark pixels, at most 0, and how much neighbours among the bands look alike."""
    rises = sum(max(0.0, dark[later] - dark[earlier]) for earlier, later in ((0, 1), (1, 2), (0, 3)))
    return -float(rises), float(np.diagonal(similar, offset=1)[:8].sum() + similar[11, 12])
