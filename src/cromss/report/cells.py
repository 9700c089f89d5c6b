"""The words and numbers of a report, the same for every format that people read."""

from __future__ import annotations

from cromss.report.entries import Entry, Group, Ours, Report
from cromss.report.paper import Score
from cromss.runs.results import MEANS

HEADER = ("backbone", "weights", "", "OA", "AA", "mIoU", "mF1", "Δ mIoU", "runs")

LABELS = 3
"""Cells of a row before its scores."""

_LONGEST_LABEL = 18

Row = tuple[str, ...]
"""A cell for each of `HEADER`."""


def descriptions(report: Report) -> list[tuple[str, str]]:
    """Name and settings of each experiment."""
    return [(experiment.name, experiment.description()) for experiment in report.experiments]


def rows(group: Group) -> list[Row]:
    """The rows below a group's title."""
    return [row for entry in group.entries for row in _entry(entry)]


def _entry(entry: Entry) -> list[Row]:
    """The paper's numbers, where there are any, above ours."""
    *_, backbone, weights = entry.names()
    labels = (_shortened(backbone), _shortened(weights))
    if entry.row is None:
        first, *more = [(one.branch, *_numbers(one)) for one in entry.ours]
        return [(*labels, *first), *(("", "", *cells) for cells in more)]
    paper = (*labels, "paper", *(_score(entry.row.scores[name]) for name in MEANS), "", "")
    missing = ("", "", "ours", "missing", *[""] * (len(HEADER) - LABELS - 1))
    return [paper, *([("", "", "ours", *_numbers(one)) for one in entry.ours] or [missing])]


def _numbers(ours: Ours) -> Row:
    difference = "" if ours.difference is None else f"{ours.difference:+.2f}"
    count = len(ours.experiment.seeds)
    runs = f"{count} seed{'s' * (count != 1)}, {ours.experiment.name}"
    return (*(_score(ours.scores[name]) for name in MEANS), difference, runs)


def _score(score: Score | None) -> str:
    if score is None:
        return "undefined"
    return f"{score.mean:5.2f}" + ("" if score.std is None else f" ± {score.std:.2f}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"
