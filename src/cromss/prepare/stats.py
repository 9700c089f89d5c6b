"""Measures a dataset in one pass, and shows the results as a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cromss.dataset.reference import open_dataset
from cromss.dataset.statistics import Statistics
from cromss.prepare.tallies import BandTally, Examples, MapTally, NoiseTally

EXAMPLES = 3
"""Patches shown per class."""

Table = list[list[str]]
"""Rows of cells; the first row is the heading."""


@dataclass(frozen=True)
class Measured:
    """The results of one pass over a dataset: plain values, ready for JSON.

    Attributes:
        path: Path of the dataset.
        locations: Number of locations.
        seasons: Seasons per location.
        size: ``(H, W)`` of a patch in pixels.
        classes: Class names.
        bands: Modality -> one `BandTally.as_dict` per stored band.
        labels: As in `cromss.dataset.statistics.Statistics.as_dict`, and ``unlabelled_share`` of all pixels.
        noise: `NoiseTally.as_dict`; None where there are no exact labels.
        cells: `MapTally.as_list`; empty where the coordinates of no location are known.
        examples: Per class ``(location, season)`` pairs in which it has most pixels.
    """

    path: str
    locations: int
    seasons: int
    size: tuple[int, int]
    classes: tuple[str, ...]
    bands: dict[str, list[dict[str, Any]]]
    labels: dict[str, Any]
    noise: dict[str, Any] | None
    cells: list[list[float]]
    examples: list[list[tuple[int, int]]]

    def summary(self) -> str:
        """The dataset in one line."""
        size = f"{self.size[0]} x {self.size[1]} px"
        unlabelled = f"{self.labels['unlabelled_share']:.2%} of all pixels unlabelled"
        wrong = [] if self.noise is None else [f"{self.noise['share']:.2%} of all labels wrong"]
        return ", ".join([f"{self.locations} location(s)", f"{self.seasons} season(s)", size, unlabelled, *wrong])

    def class_table(self) -> Table:
        """One row per class: share of the labelled pixels, and where truth is known how many are wrong."""
        columns = [["class", *self.classes], ["pixels", *(f"{pixels:,}" for pixels in self.labels["pixels"])]]
        shares = {"share": self.labels["shares"]}
        if self.noise is not None:
            shares["wrong among its labels"] = self.noise["by_label"]
            shares["wrong among its true pixels"] = self.noise["by_truth"]
        columns += [[heading, *(f"{share:.2%}" for share in values)] for heading, values in shares.items()]
        return [list(row) for row in zip(*columns, strict=True)]

    def band_table(self) -> Table:
        """One row per band: stored units, then raw units beside the published ones."""
        keys = ("mean", "std", "min", "max", "raw_mean", "raw_std", "published_mean", "published_std")
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
        return [["band", *(key.replace("_", " ") for key in keys), "NaN", "zero"], *rows]

    def __str__(self) -> str:
        return f"{self.summary()}\n\n{_aligned(self.class_table())}\n\n{_aligned(self.band_table())}"


def measure(path: str | Path, kind: str) -> Measured:
    """Reads every value of a dataset once, in constant memory.

    Args:
        path: What `cromss.dataset.open_dataset` opens.
        kind: ``nol``, ``dw``, ``osm`` or ``dfc2020``, see there; a store needs none.

    Raises:
        ValueError: It cannot be opened, or a value is damaged; the message names it.
    """
    reader = open_dataset(path, kind)
    info = reader.info
    labels = Statistics({}, len(info.classes))
    bands = {
        modality: [BandTally(modality, name, stored.quantised) for name in stored.bands]
        for modality, stored in info.modalities.items()
    }
    noise, examples, cells = NoiseTally(len(info.classes)), Examples(len(info.classes), EXAMPLES), MapTally()
    for index in tqdm(range(len(reader)), desc=f"measuring {Path(path).name}", unit="location"):
        given = reader.read_labels(index)
        labels.add({}, given)
        examples.add(index, given)
        cells.add(reader.grid(index), info.size)
        if info.has_truth:
            noise.add(given, reader.read_truth(index))
        for modality, tallies in bands.items():
            image = np.stack([reader.read_images(index, season, modality) for season in range(info.seasons)])
            for number, tally in enumerate(tallies):
                tally.add(image[:, number])
    counts = labels.as_dict()["labels"]
    unlabelled = counts["unlabelled_pixels"] / max(1, sum(counts["pixels"]) + counts["unlabelled_pixels"])
    return Measured(
        path=str(path),
        locations=len(reader),
        seasons=info.seasons,
        size=info.size,
        classes=info.classes,
        bands={modality: [tally.as_dict() for tally in tallies] for modality, tallies in bands.items()},
        labels={**counts, "unlabelled_share": unlabelled},
        noise=noise.as_dict() if info.has_truth else None,
        cells=cells.as_list(),
        examples=examples.found(),
    )


def _aligned(table: Sequence[Sequence[str]]) -> str:
    """Names to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in table
    )
