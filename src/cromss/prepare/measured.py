"""What one pass over a dataset found, as numbers and as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

EXAMPLES = 3
"""Patches a class that are shown."""

Table = list[list[str]]
"""Rows of cells; the first row is the heading."""


@dataclass(frozen=True)
class Measured:
    """Plain values, ready for JSON.

    Attributes:
        path: The dataset, as it was named.
        locations: Number of locations.
        seasons: Seasons a location.
        size: ``(H, W)`` of a patch in pixels.
        classes: Class names.
        bands: Modality -> one `cromss.prepare.tallies.BandTally.as_dict` a stored band.
        labels: As in `cromss.dataset.statistics.Statistics.as_dict`, and ``unlabelled_share`` of all pixels.
        noise: `cromss.prepare.tallies.NoiseTally.as_dict`; None where there are no exact labels.
        places: `cromss.prepare.places.Places.as_list`; empty where no location tells where it lies.
        examples: A class -> ``(location, season)`` pairs where it has most pixels.
    """

    path: str
    locations: int
    seasons: int
    size: tuple[int, int]
    classes: tuple[str, ...]
    bands: dict[str, list[dict[str, Any]]]
    labels: dict[str, Any]
    noise: dict[str, Any] | None
    places: list[list[float]]
    examples: list[list[tuple[int, int]]]

    def summary(self) -> str:
        """The dataset in one line."""
        size = f"{self.size[0]} x {self.size[1]} px"
        unlabelled = f"{self.labels['unlabelled_share']:.2%} of all pixels unlabelled"
        wrong = [] if self.noise is None else [f"{self.noise['share']:.2%} of all labels wrong"]
        return ", ".join([f"{self.locations} location(s)", f"{self.seasons} season(s)", size, unlabelled, *wrong])

    def class_table(self) -> Table:
        """A row a class: share of the labelled pixels, and where truth is known how many are wrong."""
        columns = [list(self.classes), [f"{pixels:,}" for pixels in self.labels["pixels"]]]
        columns.append([f"{share:.2%}" for share in self.labels["shares"]])
        heading = ["class", "pixels", "share"]
        if self.noise is not None:
            heading += ["wrong among its labels", "wrong among its true pixels"]
            columns += [[f"{share:.2%}" for share in self.noise[key]] for key in ("by_label", "by_truth")]
        return [heading, *map(list, zip(*columns, strict=True))]

    def band_table(self) -> Table:
        """A row a band: stored units, then raw units beside the published ones."""
        keys = ("mean", "std", "min", "max", "raw_mean", "raw_std", "published_mean", "published_std")
        heading = ["band", *(key.replace("_", " ") for key in keys), "NaN", "zero"]
        rows = [
            [
                f"{modality} {band['name']}",
                *("-" if band[key] is None else f"{band[key]:.2f}" for key in keys),
                f"{band['nan_share']:.2%}",
                f"{band['zero_share']:.2%}",
            ]
            for modality, bands in self.bands.items()
            for band in bands
        ]
        return [heading, *rows]

    def __str__(self) -> str:
        return f"{self.summary()}\n\n{_aligned(self.class_table())}\n\n{_aligned(self.band_table())}"


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table
    )
