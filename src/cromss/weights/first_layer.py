"""The first convolution: which bands the weights and the network see, and what to do where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from cromss.dataset.bands import SUBSETS
from cromss.io.plain import shown
from cromss.weights.adapt import BandFit, bands_of_count, branch_bands, fit_bands
from cromss.weights.origins import ORIGINS
from cromss.weights.weights_file import WeightsFile

Bands = tuple[str, ...] | None
"""Names in the order of the input's channels; None where they are not known."""


class FirstLayer(NamedTuple):
    """The kernels for the network, as far as there is something to say about bands.

    Attributes:
        kernels: ``(out, K, h, w)``.
        fit: How they were fitted; None where they are the file's.
        cause: Why they do not fit, one sentence with the cure; empty where they do.
    """

    kernels: Tensor
    fit: BandFit | None
    cause: str


def source_bands(file: WeightsFile, origin: str, modality: str, channels: int) -> Bands:
    """The bands that weights were trained with.

    They are those that the file names; where it names none, those that its number of channels stands for in the
    origin's publications.

    Args:
        file: The opened file.
        origin: A key of `cromss.weights.origins.ORIGINS`.
        modality: Of the encoder.
        channels: Of the encoder's first convolution.

    Raises:
        ValueError: The file names bands that there are not, or another number of them.
    """
    named = file.band_names
    subset = file.setting("dataset.bands")
    if subset is not None:
        if isinstance(subset, bool) or not isinstance(subset, int | str) or str(subset) not in SUBSETS:
            raise ValueError(
                f"{file} says dataset.bands={shown(repr(subset))}, which is none of {', '.join(SUBSETS)}: it was "
                "written by another program or version, take another file"
            )
        named = branch_bands(modality, subset)
    if file.is_exported and named is not None and len(named) != channels:
        raise ValueError(
            f"{file} names {len(named)} bands in band_names ({' '.join(named)}), and its first convolution sees "
            f"{channels}: export it again"
        )
    if named is not None and len(named) == channels:
        return named
    guess = bands_of_count(channels, ORIGINS[origin].orders, (modality,))
    return guess[1] if guess else None


def network_bands(branch: str, subset: int | str | None, channels: int) -> Bands:
    """The bands that a branch sees; without a subset, those that the number of channels stands for, if for one order.

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


def first_layer(
    kernels: Tensor, source: Bands, wanted: Bands, channels: int, branch: str, adapt_bands: bool
) -> FirstLayer:
    """Compares the bands, and fits the kernels where that is asked for.

    Args:
        kernels: Of the weights, ``(out, K, h, w)``.
        source: Their bands.
        wanted: The bands of the network.
        channels: How many those are.
        branch: The network's branch.
        adapt_bands: Whether to fit.

    Raises:
        ValueError: `adapt_bands`, and bands that nobody has named.
    """
    found = kernels.shape[1]
    if (source == wanted or None in (source, wanted)) and found == channels:
        return FirstLayer(kernels, None, "")
    if not adapt_bands:
        return FirstLayer(kernels, None, _cause(source, wanted, found, channels, branch))
    for bands, number, cure in (
        (source, found, "no publication has so many: use weights for other bands"),
        (wanted, channels, "say which they are by bands=…, e.g. bands=13 or bands=9_rgb_first"),
    ):
        if bands is None:
            raise ValueError(f"adapt_bands goes by names, and those of {number} bands ({branch}) are unknown: {cure}")
    assert source is not None
    assert wanted is not None
    return FirstLayer(*fit_bands(kernels, source, wanted), "")


def _cause(source: Bands, wanted: Bands, found: int, channels: int, branch: str) -> str:
    if found == channels:
        says = f"the weights see {_listed(source)}, the network sees {_listed(wanted)}"
    else:
        says = f"{found}-band weights, {channels}-band input"
    subset = next((name for name in SUBSETS if branch_bands(branch, name) == source), None)
    if subset is not None and branch != "s1":
        return f"{says}: say dataset.bands={subset}, or backbone.adapt_bands=true"
    return (
        f"{says}: those are not bands of {branch} ({_listed(source)}): give this branch a file of its own, "
        f"backbone.weights_path={{{branch}: FILE, …}}, or say backbone.adapt_bands=true"
    )


def _listed(bands: Sequence[str] | None) -> str:
    return " ".join(bands) if bands else "unknown bands"
