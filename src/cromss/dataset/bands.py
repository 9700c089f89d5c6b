"""The bands of Sentinel-1 and Sentinel-2 L1C: names, wavelengths, statistics, subsets, and how raw units become input.

Means and standard deviations are those of SSL4EO-S12 (Wang et al., IEEE GRSM 2023), which CromSS pretrains on: S1 in
dB, S2 as reflectance x 10000. Products of S2 processing baseline >= 04.00 carry an offset of +1000 that must be taken
off before anything here. Wavelengths are those that DOFA takes (Xiong et al., 2024), in um.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

Image = TypeVar("Image", np.ndarray, Tensor)


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
    "9_rgb_first": (3, 2, 1, 4, 5, 6, 7, 11, 12),  # the order that Satlas and DOFA weights want
    "10": (1, 2, 3, 4, 5, 6, 7, 8, 11, 12),
    "12": (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12),
    "13": tuple(range(13)),
}
"""Name of a subset of the S2 bands -> positions. S1 is always both of its bands."""

RGB = ("B4", "B3", "B2")
"""The bands of a picture in natural colours; every subset has them."""

NORMALISATIONS = ("quantise", "standardise", "reflectance")


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


def quantise(
    image: Image, modality: str, bands: Sequence[int] | None = None, statistics: Sequence[Band] | None = None
) -> Image:
    """Raw units to uint8: per band, clipped to mean +- 2 std, scaled to 0..255 and truncated (not rounded).

    Args:
        image: ``(..., K, H, W)`` array or tensor of raw units, S1 dB or S2 reflectance x 10000, finite, any dtype
            that holds raw units.
        modality: ``"s1"`` or ``"s2"``.
        bands: Positions of the K bands in `BANDS`; None means all of the modality.
        statistics: The K bands with other means and standard deviations; None takes the published ones.

    Returns:
        uint8 of the same shape, container and device.

    Raises:
        ValueError: The image is uint8 already, or has another number of bands.
    """
    pixels, table = _check(image, modality, bands, statistics)
    if pixels.dtype == torch.uint8:
        raise ValueError(f"this {modality} image is uint8, so quantised already: divide it by 255 or use `scale`")
    quantised = torch.empty(pixels.shape, dtype=torch.uint8, device=pixels.device)
    # In float32 a value on the border between two steps can truncate to the wrong one. Band by band, float64 needs
    # no second copy of the whole image, and plain Python statistics need no transfer to the device.
    for k, band in enumerate(table):
        steps = pixels[..., k, :, :].to(torch.float64, copy=True).sub_(band.low).mul_(255 / (band.high - band.low))
        quantised[..., k, :, :] = steps.clamp_(0, 255)
    return _like(quantised, image)


def standardise(
    image: Image, modality: str, bands: Sequence[int] | None = None, statistics: Sequence[Band] | None = None
) -> Image:
    """Raw units to ``(x - mean) / std`` in float32, outliers clipped first.

    S2 is clipped to mean +- 2 std; S1, whose tails speckle makes, to the 1st and 99th percentile of each image and
    band.

    Args:
        image: ``(..., K, H, W)`` array or tensor of raw units, see `quantise`.
        modality: ``"s1"`` or ``"s2"``.
        bands: Positions of the K bands in `BANDS`; None means all of the modality.
        statistics: See `quantise`.

    Raises:
        ValueError: The image is uint8, i.e. no raw units, or has another number of bands.
    """
    pixels, table = _check(image, modality, bands, statistics)
    if pixels.dtype == torch.uint8:
        raise ValueError(f"this {modality} image is uint8, so quantised already: standardise wants raw units")
    standardised = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
    for k, band in enumerate(table):
        x = pixels[..., k, :, :].float()
        x = x.clamp(band.low, band.high) if modality == "s2" else _clamp_to_percentiles(x, 0.01, 0.99)
        standardised[..., k, :, :] = x.sub_(band.mean).div_(band.std)
    return _like(standardised, image)


def reflectance(image: Image, modality: str = "s2", bands: Sequence[int] | None = None) -> Image:
    """Quantised S2 back to reflectance (1 = all light returned) in float32, up to the quantisation step.

    Args:
        image: ``(..., K, H, W)`` uint8 array or tensor from `quantise`.
        modality: ``"s2"``.
        bands: Positions of the K bands in `BANDS`; None means all 13.

    Raises:
        ValueError: The image is not uint8 or not S2, or has another number of bands.
    """
    pixels, table = _check(image, modality, bands)
    _refuse_radar_reflectance(modality)
    if pixels.dtype != torch.uint8:
        raise ValueError(f"reflectance undoes quantise, so it wants uint8, not {pixels.dtype}: divide raw S2 by 10000")
    restored = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
    for k, band in enumerate(table):
        restored[..., k, :, :] = pixels[..., k, :, :].float().mul_((band.high - band.low) / 255e4).add_(band.low / 1e4)
    return _like(restored, image)


def scale(
    image: Image,
    modality: str,
    bands: Sequence[int] | None,
    quantised: bool,
    normalisation: str,
    statistics: Sequence[Band] | None = None,
) -> Image:
    """What a model sees, float32, whether the image was stored quantised or in raw units.

    ``quantise`` gives uint8 / 255, in [0, 1]; ``standardise`` gives [-2, 2] for S2 and about that for S1;
    ``reflectance`` gives reflectance clipped to mean +- 2 std, S2 only.

    Args:
        image: ``(..., K, H, W)`` array or tensor, uint8 where `quantised`, else raw units.
        modality: ``"s1"`` or ``"s2"``.
        bands: Positions of the K bands in `BANDS`; None means all of the modality.
        quantised: Whether the image is `quantise` output.
        normalisation: ``"quantise"``, ``"standardise"`` or ``"reflectance"``.
        statistics: The K bands with means and standard deviations of the stored values, see `check_scale`; None takes
            the published ones.

    Raises:
        ValueError: Unknown names, another number of bands, or a combination that has no meaning.
    """
    check_scale(modality, quantised, normalisation, statistics is not None)
    pixels, table = _check(image, modality, bands, statistics)
    if normalisation == "quantise":
        steps = pixels if quantised else quantise(pixels, modality, bands, statistics)
        return _like(steps.float().mul_(1 / 255), image)
    if normalisation == "standardise":
        if not quantised:
            return _like(standardise(pixels, modality, bands, statistics), image)
        # Quantised values are clipped at the published +- 2 std, which are 0 and 255.
        if statistics is None:
            return _like(pixels.float().mul_(4 / 255).sub_(2), image)
        standardised = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
        for k, band in enumerate(table):
            standardised[..., k, :, :] = pixels[..., k, :, :].float().sub_(band.mean).div_(band.std)
        return _like(standardised, image)
    if quantised:
        return _like(reflectance(pixels, modality, bands), image)
    clipped = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
    for k, band in enumerate(table):
        clipped[..., k, :, :] = pixels[..., k, :, :].float().clamp(band.low, band.high).div_(1e4)
    return _like(clipped, image)


def check_scale(modality: str, quantised: bool, normalisation: str, own_statistics: bool = False) -> None:
    """ValueError with the cure where `scale` cannot do this, by the published statistics or by a dataset's own.

    Quantised values were made by the published statistics, so own ones have a meaning for ``standardise`` alone: that
    is ``(x - mean) / std`` in steps of 0..255, for S1 as well, as nothing is left to clip.
    """
    _known_modality(modality)
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation={normalisation!r} is unknown: choose one of {', '.join(NORMALISATIONS)}")
    if normalisation == "reflectance":
        _refuse_radar_reflectance(modality)
    if own_statistics and quantised and normalisation != "standardise":
        raise ValueError(
            f"dataset.statistics=store changes nothing in quantised {modality} values with normalisation="
            f"{normalisation}: use normalisation=standardise, prepare the dataset with quantise=false, or say "
            "dataset.statistics=published"
        )
    if normalisation == "standardise" and modality == "s1" and quantised and not own_statistics:
        raise ValueError(
            "normalisation=standardise clips S1 to percentiles of its dB values, which quantised uint8 has lost: "
            "prepare the dataset with quantise=false, or use normalisation=quantise"
        )


class Scale:
    """`scale` for all modalities of a dataset, checked once.

    Args:
        normalisation: ``"quantise"``, ``"standardise"`` or ``"reflectance"``.
        bands: Modality -> positions of its bands in `BANDS`.
        quantised: Modality -> whether it is stored as `quantise` output.
        statistics: Modality -> its bands with means and standard deviations of the stored values, in the order of
            `bands`; a modality left out takes the published ones.

    Raises:
        ValueError: A modality that cannot be scaled so, see `scale`.
    """

    def __init__(
        self,
        normalisation: str,
        bands: Mapping[str, Sequence[int]],
        quantised: Mapping[str, bool],
        statistics: Mapping[str, Sequence[Band]] | None = None,
    ) -> None:
        self.statistics = dict(statistics or {})
        for modality, positions in bands.items():
            check_scale(modality, quantised[modality], normalisation, modality in self.statistics)
            select_bands(modality, positions)
        self.normalisation = normalisation
        self.bands = dict(bands)
        self.quantised = dict(quantised)

    def __call__(self, images: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Modality -> stored ``(B, K, H, W)`` to modality -> model input, float32 of the same shape."""
        return {
            modality: scale(
                image,
                modality,
                self.bands[modality],
                self.quantised[modality],
                self.normalisation,
                self.statistics.get(modality),
            )
            for modality, image in images.items()
        }


def _known_modality(modality: str) -> str:
    if modality not in BANDS:
        raise ValueError(f"modality {modality!r} is unknown: choose one of {', '.join(BANDS)}")
    return modality


def _refuse_radar_reflectance(modality: str) -> None:
    if modality != "s2":
        raise ValueError(
            f"{modality} is radar and has no reflectance: use normalisation=quantise or standardise, or S2 alone "
            "(fusion=single fusion.modality=s2)"
        )


def _check(
    image: np.ndarray | Tensor,
    modality: str,
    bands: Sequence[int] | None,
    statistics: Sequence[Band] | None = None,
) -> tuple[Tensor, tuple[Band, ...]]:
    table = select_bands(modality, bands)
    if statistics is not None:
        names = [[band.name for band in one] for one in (table, statistics)]
        if names[0] != names[1]:
            raise ValueError(f"statistics of {' '.join(names[1])} are given for the bands {' '.join(names[0])}")
        table = tuple(statistics)
    if image.ndim < 3 or image.shape[-3] != len(table):
        found = f"the image has {image.shape[-3]}" if image.ndim >= 3 else f"the image is {tuple(image.shape)}"
        raise ValueError(
            f"{len(table)} bands of {modality} wanted, {found}: pass (..., K, H, W) holding "
            f"{' '.join(band.name for band in table)}, or name its bands by `bands`"
        )
    if isinstance(image, np.ndarray):
        image = torch.from_numpy(np.require(image, requirements=["C", "W"]))  # a read-only array would warn
    return image, table


def _like(result: Tensor, image: Image) -> Image:
    return result.numpy() if isinstance(image, np.ndarray) else result


def _clamp_to_percentiles(x: Tensor, low: float, high: float) -> Tensor:
    """Clamps ``(..., H, W)`` to its own percentiles, interpolated linearly as NumPy does."""
    ordered = x.flatten(-2).sort(dim=-1).values
    bounds = []
    for share in (low, high):
        rank = share * (ordered.shape[-1] - 1)
        below = ordered[..., int(rank)]
        above = ordered[..., min(int(rank) + 1, ordered.shape[-1] - 1)]
        bounds.append(torch.lerp(below, above, rank - int(rank))[..., None, None])
    return x.clamp(*bounds)
