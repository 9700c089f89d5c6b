"""The paper's Tables 1-3 as data (Liu et al., IEEE TGRS 2025), and which of its rows a run repeats."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from cromss.report.read import Run
from cromss.report.table import Mean
from cromss.runs.results import MEANS

SEEDS = 3
"""Runs behind every number of the paper."""

_FILE = "paper_results.csv"


@dataclass(frozen=True)
class PaperTable:
    """The subject of a table.

    Attributes:
        name: Its dataset, as in `conf/dataset`.
        title: The dataset's name in words.
        number: Its number in the paper.
        decoder: Of all of its ResNet-50 rows, as in `backbone.decoder`.
        test_locations: Size of the test set behind its numbers.
    """

    name: str
    title: str
    number: int
    decoder: str
    test_locations: int


TABLES: Mapping[str, PaperTable] = {
    table.name: table
    for table in (
        PaperTable("dfc2020", "DFC2020", 1, "pspnet", 5128),
        PaperTable("dw", "Dynamic World", 2, "deeplabv3plus", 340),
        PaperTable("osm", "OpenStreetMap land use", 3, "fpn", 400),
    )
}


@dataclass(frozen=True)
class PaperRow:
    """One line of a table.

    Attributes:
        table: A key of `TABLES`.
        input: ``"s1"`` or ``"s2"``.
        backbone: Encoder, e.g. ``"resnet50"``.
        weights: What the encoder started from, with the number of bands for S2, e.g. ``"moco-13b"``.
        mode: ``"frozen"`` or ``"finetuned"``.
        scores: ``oa``, ``aa``, ``miou``, ``mf1``; shares in [0, 1].
    """

    table: str
    input: str
    backbone: str
    weights: str
    mode: str
    scores: Mapping[str, Mean]

    @property
    def is_repeatable(self) -> bool:
        """Whether an experiment of this project repeats it."""
        return self.backbone == "resnet50"

    def is_repeated_by(self, run: Run) -> bool:
        """Whether the settings of a run are those of the row, as far as rows of the paper differ in them."""
        settings = run.settings
        return (self.table, self.input, self.backbone, TABLES[self.table].decoder, self.mode, self.weights) == (
            *(settings.dataset, settings.input, settings.backbone, settings.decoder, run.mode),
            _weights_name(run),
        )


def paper_rows(table: str) -> list[PaperRow]:
    """The rows of a table, a key of `TABLES`, in the paper's order."""
    with files("cromss.report").joinpath(_FILE).open(encoding="utf-8") as file:
        return [_row(line) for line in csv.DictReader(file) if line["dataset"] == table]


def _row(line: Mapping[str, str]) -> PaperRow:
    scores = {name: Mean(float(line[name]) / 100, float(line[f"{name}_std"]) / 100, SEEDS) for name in MEANS}
    return PaperRow(line["dataset"], line["input"], line["backbone"], line["weights"], line["mode"], scores)


def _weights_name(run: Run) -> str | None:
    """What the paper calls the weights that a run started from: their origin and, for S2, the number of bands."""
    origins = {str(each.origin) for each in run.weights} or {"random"}
    name = origins.pop() if len(origins) == 1 else None
    if name == "cromss":
        # Middle and late fusion leave encoders of one origin: here the run itself says which it took.
        said = run.settings.row.weights if run.settings.row else ""
        name = next((kind for kind in ("cromss-mid", "cromss-late") if said.startswith(kind)), None)
    if name is None or run.settings.input == "s1":
        return name
    return f"{name}-{str(run.settings.bands).partition('_')[0]}b"
