"""A store's own mean and standard deviation per band, for scaling instead of the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, Strict

from cromss.dataset.bands import BANDS, Band, select_bands
from cromss.dataset.reader import DatasetInfo
from cromss.io.plain import NotPlainError, Record, parse, shown

PUBLISHED = "published"

STATISTICS = (PUBLISHED, "store")
"""Sources of the mean and standard deviation that scale the images."""

Positive = Annotated[float, Field(gt=0)]


class SavedModality(Record):
    """The statistics of a modality in a checkpoint; of each band name, wavelength, mean and standard deviation."""

    quantised: bool
    bands: list[Annotated[tuple[str, Positive, float, Positive], Strict(strict=False)]]


class SavedStatistics(Record):
    """What `OwnStatistics.as_dict` writes into a checkpoint."""

    modalities: dict[Annotated[str, Field(pattern="^s[12]$")], SavedModality]


@dataclass(frozen=True)
class OwnStatistics:
    """Statistics that scale images instead of the published ones; empty if the published ones are used.

    Attributes:
        bands: Modality -> bands with means and standard deviations in units of the stored values.
        quantised: Modality -> whether those units are steps of `cromss.dataset.scaling.quantise`, else raw ones.
    """

    bands: Mapping[str, tuple[Band, ...]]
    quantised: Mapping[str, bool]

    @classmethod
    def of(cls, info: DatasetInfo, positions: Mapping[str, Sequence[int]]) -> Self:
        """The statistics that a dataset keeps.

        Args:
            info: The dataset; it holds the wanted modalities and bands.
            positions: Modality -> positions of the wanted bands in `cromss.dataset.bands.BANDS`.

        Raises:
            ValueError: It keeps none, or a band is the same everywhere.
        """
        bands = {modality: _bands(info, modality, wanted) for modality, wanted in positions.items()}
        return cls(bands, {modality: info.modalities[modality].quantised for modality in bands})

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any]) -> Self:
        """Reads what `as_dict` returned; NotPlainError for anything else."""
        modalities = parse(SavedStatistics, {"modalities": dict(saved)}).modalities
        bands = {modality: tuple(Band(*band) for band in one.bands) for modality, one in modalities.items()}
        for modality, found in bands.items():
            known = [band.name for band in BANDS[modality]]
            if strange := [band.name for band in found if band.name not in known]:
                raise NotPlainError(f"it names the {modality} band {shown(strange[0])}: there are {', '.join(known)}")
        return cls(bands, {modality: one.quantised for modality, one in modalities.items()})

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint; empty where the published statistics are used."""
        return {
            modality: {"quantised": self.quantised[modality], "bands": [list(band) for band in bands]}
            for modality, bands in self.bands.items()
        }

    def agrees(self, other: OwnStatistics) -> bool:
        """Whether both scale alike, up to the rounding of a store that was written again in other shards."""
        if self.quantised != other.quantised:
            return False
        return all(
            [band.name for band in bands] == [band.name for band in other.bands[modality]]
            and np.allclose([band[2:] for band in bands], [band[2:] for band in other.bands[modality]], 1e-6, 1e-9)
            for modality, bands in self.bands.items()
        )


def _bands(info: DatasetInfo, modality: str, positions: Sequence[int]) -> tuple[Band, ...]:
    kept = info.statistics.get(modality, {})
    if not {"mean", "std"} <= set(kept):
        raise ValueError(
            f"dataset.statistics=store: this dataset keeps no mean and standard deviation of {modality}, as stores do: "
            "convert it by `cromss prepare`, or set dataset.statistics=published"
        )
    order = info.modalities[modality].bands
    found = []
    for band in select_bands(modality, positions):
        position = order.index(band.name)
        mean, std = kept["mean"][position], kept["std"][position]
        if not std > 0:
            raise ValueError(
                f"dataset.statistics=store: {modality} band {band.name} is {mean:g} everywhere, so it has no standard "
                "deviation to divide by: leave it out by dataset.bands, or set dataset.statistics=published"
            )
        found.append(band._replace(mean=mean, std=std))
    return tuple(found)
