"""Fits the first convolution of an encoder to other bands than those that it was trained with, by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cromss.dataset.bands import SUBSETS, band_names
from cromss.types import seen_by


class BandFit(NamedTuple):
    """What `fit_bands` did.

    Attributes:
        kept: Bands whose kernels were taken over.
        new: Bands that got the mean kernel.
        left_out: Bands of the weights that the network does not see.
        factor: On all kernels.
    """

    kept: tuple[str, ...]
    new: tuple[str, ...]
    left_out: tuple[str, ...]
    factor: float

    def summary(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}

    def __str__(self) -> str:
        parts = (
            ("kernels kept for", self.kept),
            ("their mean for", self.new),
            ("left out", self.left_out),
        )
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
    """What a first convolution most likely sees, by nothing but its number of channels.

    Args:
        count: Channels K of the input.
        orders: Number of S2 bands -> name of the subset, where it is not the number itself.
        branches: What it may see, the likeliest first.

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
    ``K / K'``. Bands are scaled alike and vary together, so that the convolution answers with the sum of its kernels:
    the factor keeps that sum, on average, as the stored statistics of the batch norm that follows know it.

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
