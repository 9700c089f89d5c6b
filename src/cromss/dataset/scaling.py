"""From raw units to the input of a network: quantised, standardised, or as reflectance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from cromss.dataset.bands import Band, select_bands

Image = TypeVar("Image", np.ndarray, Tensor)

NORMALISATIONS = ("quantise", "standardise", "reflectance")


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
    return _by_band(
        # In float32 a value on the border between two steps can truncate to the wrong one.
        lambda x, band: x.to(torch.float64, copy=True).sub_(band.low).mul_(255 / (band.high - band.low)).clamp_(0, 255),
        pixels,
        table,
        torch.uint8,
        image,
    )


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

    def standard(x: Tensor, band: Band) -> Tensor:
        x = x.float()
        clipped = x.clamp(band.low, band.high) if modality == "s2" else _clamp_to_percentiles(x, 0.01, 0.99)
        return clipped.sub_(band.mean).div_(band.std)

    return _by_band(standard, pixels, table, torch.float32, image)


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
    return _by_band(
        lambda x, band: x.float().mul_((band.high - band.low) / 255e4).add_(band.low / 1e4),
        pixels,
        table,
        torch.float32,
        image,
    )


def scale(
    image: Image,
    modality: str,
    bands: Sequence[int] | None,
    quantised: bool,
    normalisation: str,
    statistics: Sequence[Band] | None = None,
) -> Image:
    """The model input, float32, from an image that was stored quantised or in raw units.

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
    if normalisation == "standardise" and not quantised:
        return standardise(image, modality, bands, statistics)
    if normalisation == "standardise" and statistics is None:
        # Quantised values are clipped at the published +- 2 std, which are 0 and 255.
        return _like(pixels.float().mul_(4 / 255).sub_(2), image)
    if normalisation == "standardise":
        return _by_band(lambda x, b: x.float().sub_(b.mean).div_(b.std), pixels, table, torch.float32, image)
    if quantised:
        return reflectance(image, modality, bands)
    return _by_band(lambda x, b: x.float().clamp(b.low, b.high).div_(1e4), pixels, table, torch.float32, image)


def check_scale(modality: str, quantised: bool, normalisation: str, own_statistics: bool = False) -> None:
    """ValueError with the cure where `scale` cannot do this, by the published statistics or by a dataset's own.

    Quantised values were made by the published statistics, so own ones have a meaning for ``standardise`` alone: that
    is ``(x - mean) / std`` in steps of 0..255, for S1 as well, as nothing is left to clip.
    """
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation={normalisation!r} is unknown: choose one of {', '.join(NORMALISATIONS)}")
    if normalisation == "reflectance":
        _refuse_radar_reflectance(modality)
    if own_statistics and quantised and normalisation != "standardise":
        raise ValueError(
            f"dataset.statistics=store changes nothing in quantised {modality} values with normalisation="
            f"{normalisation}: use normalisation=standardise, prepare the dataset with quantise=false, or set "
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


def _by_band(
    change: Callable[[Tensor, Band], Tensor], pixels: Tensor, table: Sequence[Band], dtype: torch.dtype, image: Image
) -> Image:
    """Applies a function of a plane and its band to ``(..., K, H, W)``; the result is of the same kind as `image`.

    Band by band, no second copy of the whole image is needed, and statistics need no transfer to the device.
    """
    changed = torch.empty(pixels.shape, dtype=dtype, device=pixels.device)
    for k, band in enumerate(table):
        changed[..., k, :, :] = change(pixels[..., k, :, :], band)
    return _like(changed, image)


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
