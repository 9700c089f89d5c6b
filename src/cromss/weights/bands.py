"""Bands of the first convolution: those of the weights, those of the network, and what to do if they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cromss.dataset.bands import SUBSETS, band_names
from cromss.types import seen_by
from cromss.weights.origins import ORIGINS
from cromss.weights.part import Part, first_convolution
from cromss.weights.weights_file import WeightsFile

Bands = tuple[str, ...] | None
"""Names in the order of the input's channels; None if they are not known."""


class BandFit(NamedTuple):
    """The result of `fit_bands`.

    Attributes:
        kept: Bands whose kernels were kept.
        new: Bands that got the mean kernel.
        left_out: Bands of the weights that the network does not use.
        factor: Factor of all kernels.
    """

    kept: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]
    factor: float

    def summary(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}

    def __str__(self) -> str:
        parts = (("kernels kept for", self.kept), ("their mean for", self.new), ("left out", self.left_out))
        text = ", ".join(f"{title} {' '.join(names)}" for title, names in parts if names)
        return f"bands fitted: {text}; all x {self.factor:.3g}"


def branch_bands(branch: str, subset: int | str) -> tuple[str, ...]:
    """The names of the bands that a branch sees, in their order.

    Args:
        branch: ``"s1"``, which has VV and VH under every subset, ``"s2"``, or ``"common"``, S1 before S2.
        subset: Number or name, a key of `cromss.dataset.bands.SUBSETS`.

    Raises:
        ValueError: Unknown subset.
    """
    return tuple(name for modality in seen_by(branch) for name in band_names(modality, subset))


def bands_of_count(
    count: int, orders: Mapping[int, str], branches: Sequence[str]
) -> tuple[str, tuple[str, ...]] | None:
    """The most likely input of a first convolution, going by its number of channels alone.

    Args:
        count: Channels K of the input.
        orders: Number of S2 bands -> name of the subset, where it is not the number itself.
        branches: Possible branches, the most likely first.

    Returns:
        Branch and band names; None where no subset has so many bands.
    """
    for branch in branches:
        optical = count - 2 if branch == "common" else count
        # S1 is the same under every subset.
        subset = "13" if branch == "s1" else orders.get(optical, str(optical))
        if subset in SUBSETS and len(names := branch_bands(branch, subset)) == count:
            return branch, names
    return None


def fit_bands(kernels: Tensor, source: Sequence[str], wanted: Sequence[str]) -> tuple[Tensor, BandFit]:
    """Makes the kernels of a first convolution for other bands, or for the same in another order.

    Shared bands keep their kernels and new ones get the mean over the source's bands. Then all are multiplied by
    ``K / K'``. Bands are scaled alike and correlated, so that the output of the convolution follows the sum of its
    kernels: the factor keeps that sum, on average, as the stored statistics of the next batch norm expect it.

    Args:
        kernels: ``(out, K, h, w)``.
        source: Names of the K bands.
        wanted: Names of the K' bands.

    Returns:
        ``(out, K', h, w)`` and what was done.
    """
    mean = kernels.mean(dim=1)
    factor = len(source) / len(wanted)
    fitted = [kernels[:, source.index(name)] if name in source else mean for name in wanted]
    fit = BandFit(
        kept=tuple(name for name in wanted if name in source),
        new=tuple(name for name in wanted if name not in source),
        left_out=tuple(name for name in source if name not in wanted),
        factor=factor,
    )
    return torch.stack(fitted, dim=1) * factor, fit


def source_bands(file: WeightsFile, origin: str, modality: str, channels: int) -> Bands:
    """The bands that weights were trained with.

    They are those that the file names, or else those that the number of channels stands for in the publications of
    this origin.

    Raises:
        ValueError: An exported encoder names another number of bands than it sees.
    """
    named, subset = file.network.band_names, file.network.bands
    if named is not None and len(named) != channels:
        raise ValueError(
            f"{file} names {len(named)} bands in band_names ({' '.join(named)}), and its first convolution sees "
            f"{channels}: export it again"
        )
    if named is not None:
        return tuple(named)
    if subset is not None and len(bands := branch_bands(modality, subset)) == channels:
        return bands
    guess = bands_of_count(channels, ORIGINS[origin].orders, (modality,))
    return guess[1] if guess else None


def network_bands(branch: str, subset: int | str | None, channels: int) -> Bands:
    """The bands of a branch; without a subset those of its number of channels, if only one order has so many.

    Raises:
        ValueError: The branch was built for another number of bands than the subset has.
    """
    if subset is None:
        fitting = {bands for name in SUBSETS if len(bands := branch_bands(branch, name)) == channels}
        return fitting.pop() if len(fitting) == 1 else None
    bands = branch_bands(branch, subset)
    if len(bands) != channels:
        raise ValueError(
            f"bands={subset} are {len(bands)} bands of {branch} ({' '.join(bands)}), and the network was built for "
            f"{channels}: give the bands that it sees"
        )
    return bands


def match_bands(
    encoder: Part,
    file: WeightsFile,
    origin: str,
    modality: str,
    branch: str,
    subset: int | str | None,
    adapt_bands: bool,
) -> tuple[BandFit | None, str]:
    """Compares the bands of weights and network, and fits the kernels to the network if that is asked for.

    Args:
        encoder: The encoder of the file and that of the network; fitted kernels replace those of the file.
        file: The file that it comes from.
        origin: A key of `cromss.weights.origins.ORIGINS`.
        modality: Of the weights.
        branch: The network's branch.
        subset: The S2 bands that it sees; None if their number is enough.
        adapt_bands: Whether to fit.

    Returns:
        How the kernels were fitted, None if they were not; and a sentence that says why they do not fit and what to
        set, empty if they do.

    Raises:
        ValueError: `adapt_bands` is set and names of bands are unknown; or see `source_bands` and `network_bands`.
    """
    name = first_convolution(encoder.target)
    if name is None or name not in encoder.source or encoder.source[name].ndim != 4:
        return None, ""
    kernels, channels = encoder.source[name], encoder.target[name].shape[1]
    found = kernels.shape[1]
    source, wanted = source_bands(file, origin, modality, found), network_bands(branch, subset, channels)
    if found == channels and (source == wanted or source is None or wanted is None):
        return None, ""
    if not adapt_bands:
        return None, _cause(source, wanted, found, channels, branch)
    if source is None or wanted is None:
        number, cure = (
            (found, "no publication has so many: use weights for other bands")
            if source is None
            else (channels, "name them by bands=…, e.g. bands=13 or bands=9_rgb_first")
        )
        raise ValueError(
            f"adapt_bands needs the names of bands, and those of {number} bands ({branch}) are unknown: {cure}"
        )
    encoder.source[name], fit = fit_bands(kernels, source, wanted)
    return fit, ""


def _cause(source: Bands, wanted: Bands, found: int, channels: int, branch: str) -> str:
    listed = " ".join(source or ("unknown", "bands"))
    if found == channels:
        sees = f"the weights see {listed}, the network sees {' '.join(wanted or ())}"
    else:
        sees = f"{found}-band weights, {channels}-band input"
    subset = next((name for name in SUBSETS if branch_bands(branch, name) == source), None)
    if subset is not None and branch != "s1":
        return f"{sees}: set dataset.bands={subset}, or backbone.adapt_bands=true"
    return (
        f"{sees}: those are not bands of {branch} ({listed}): set a separate file for this branch, "
        f"backbone.weights_path={{{branch}: FILE, …}}, or set backbone.adapt_bands=true"
    )
