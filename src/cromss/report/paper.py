"""The paper's Tables 1-3 as data (Liu et al., IEEE TGRS 2025)."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import NamedTuple

from cromss.runs.results import MEANS

SEEDS = 3
"""Runs behind every number of the paper."""

_FILE = "paper_results.csv"


class Score(NamedTuple):
    """A metric over seeds, in percent.

    Attributes:
        mean: Mean.
        std: Sample standard deviation; None of a single run.
    """

    mean: float
    std: float | None


@dataclass(frozen=True)
class PaperTable:
    """What a table is about.

    Attributes:
        name: Its dataset, as in `conf/dataset`.
        title: The dataset's name in words.
        number: Its number in the paper.
        test_locations: Size of the test set behind its numbers.
    """

    name: str
    title: str
    number: int
    test_locations: int


TABLES: Mapping[str, PaperTable] = {
    table.name: table
    for table in (
        PaperTable("dfc2020", "DFC2020", 1, 5128),
        PaperTable("dw", "Dynamic World", 2, 340),
        PaperTable("osm", "OpenStreetMap land use", 3, 400),
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
        scores: ``oa``, ``aa``, ``miou``, ``mf1``.
    """

    table: str
    input: str
    backbone: str
    weights: str
    mode: str
    scores: Mapping[str, Score]

    @property
    def is_repeatable(self) -> bool:
        """Whether an experiment of this project repeats it."""
        return self.backbone == "resnet50"


def paper_rows(table: str) -> list[PaperRow]:
    """The rows of a table, in the paper's order.

    Args:
        table: A key of `TABLES`.
    """
    with files("cromss.report").joinpath(_FILE).open(encoding="utf-8") as file:
        return [_row(line) for line in csv.DictReader(file) if line["dataset"] == table]


def _row(line: Mapping[str, str]) -> PaperRow:
    scores = {name: Score(float(line[name]), float(line[f"{name}_std"])) for name in MEANS}
    return PaperRow(line["dataset"], line["input"], line["backbone"], line["weights"], line["mode"], scores)
