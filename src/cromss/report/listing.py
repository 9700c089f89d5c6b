"""The content of a table: all experiments, or the rows of the paper with the experiments that repeat them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from cromss.report.metrics import TRUTH
from cromss.report.notes import count, left_out, of_runs, of_tests
from cromss.report.paper import SEEDS, PaperRow, PaperTable, paper_rows
from cromss.report.table import Experiment, Mean, RunTable
from cromss.runs.results import MEANS

_WHAT = "mean ± std over seeds, in percent"
_MODES = {"frozen": "frozen", "finetuned": "fine-tuned", None: "unfrozen later"}


@dataclass(frozen=True)
class Line:
    """The scores of an experiment in one branch.

    Attributes:
        row: Row of the paper; None for an experiment that repeats none.
        experiment: None where the runs of a row are missing.
        branch: Of the network; ``"s2 (truth)"`` where scores are against exact labels beside noisy ones; empty where
            nothing was measured yet.
        scores: Names in `MEANS` -> share in [0, 1], of a test, else of the validation at the best epoch of each run;
            None where a seed leaves it undefined.
    """

    row: PaperRow | None
    experiment: Experiment | None
    branch: str = ""
    scores: Mapping[str, Mean | None] | None = None

    @property
    def names(self) -> tuple[str, str, str, str, str]:
        """Dataset, input, mode, backbone and weights."""
        if self.row is not None:
            return self.row.table, self.row.input, self.row.mode, self.row.backbone, self.row.weights
        assert self.experiment is not None
        run = self.experiment.first
        of = run.settings
        return of.dataset, of.input, run.mode or "unfrozen", of.backbone, self.experiment.weights()

    @property
    def difference(self) -> float | None:
        """Our mIoU minus that of the paper, in points; None without a row, or where undefined."""
        ours = self.scores["miou"] if self.scores else None
        return None if self.row is None or ours is None else 100 * (ours.mean - self.row.scores["miou"].mean)


@dataclass(frozen=True)
class Listing:
    """A table as data, the same for every format.

    Attributes:
        title: What the numbers are.
        groups: Titles and lines: of the paper by input and mode, in its order, then the other runs, where there are
            any; or of all experiments by dataset and mode.
        experiments: All that occur, in the order of the table.
        notes: What was read, what is missing, and what cannot be compared; sentences.
    """

    title: str
    groups: Sequence[tuple[str, Sequence[Line]]]
    experiments: Sequence[Experiment]
    notes: Sequence[str]


def overview(table: RunTable) -> Listing:
    """Puts all experiments beside each other: the tested ones by dataset and mode, then the others by dataset."""

    def title(one: Experiment) -> tuple[bool, str]:
        dataset = one.first.settings.dataset
        if one.is_tested:
            return False, f"{dataset}, {_MODES[one.first.mode]}"
        return True, f"{dataset}, not tested: validation scores at the best epoch"

    groups = groupby(sorted(table.experiments, key=title), key=title)
    return Listing(
        title=f"Runs: {_WHAT}",
        groups=[(name, [line for one in members for line in _lines(None, one)]) for (_, name), members in groups],
        experiments=table.experiments,
        notes=[f"{_read(table)}.", *of_runs(table), *of_tests(table.experiments), *left_out(table)],
    )


def beside_paper(paper: PaperTable, table: RunTable) -> Listing:
    """Lists tested experiments below the rows of the paper that they repeat, and counts the other runs."""
    here = [one for one in table.experiments if one.is_tested and one.first.settings.dataset == paper.name]
    repeated = [(row, [one for one in here if row.is_repeated_by(one.first)]) for row in paper_rows(paper.name)]
    groups: list[tuple[str, list[Line]]] = [
        (
            f"{modality.upper()}, {_MODES[mode]}",
            [line for row, ours in rows for one in ours or (None,) for line in _lines(row, one)],
        )
        for (modality, mode), rows in groupby(repeated, key=lambda pair: (pair[0].input, pair[0].mode))
    ]
    others = [one for one in here if not any(one in ours for _, ours in repeated)]
    if others:
        groups.append(("Other runs", [line for one in others for line in _lines(None, one)]))
    return Listing(
        title=f"{paper.title} beside Table {paper.number} of Liu et al., TGRS 2025: {_WHAT}",
        groups=groups,
        experiments=here,
        notes=[
            *_paper_notes(paper, table, repeated, others),
            *of_runs(table),
            *of_tests(here),
            *left_out(table),
        ],
    )


def _lines(row: PaperRow | None, experiment: Experiment | None) -> Iterator[Line]:
    """One per branch."""
    if experiment is None:
        yield Line(row, None)
        return
    stage, seeds = ("test" if experiment.is_tested else "val"), len(experiment.reported_seeds)
    branches = []
    for name, (mean, _) in experiment.scores.items():
        match = re.fullmatch(rf"{stage}/(\w+)/miou({TRUTH})?", name)
        if match and (mean or experiment.is_tested):
            branches.append((match[1], match[2] or ""))
    if not branches:
        yield Line(row, experiment)
    for branch, ending in branches:
        means = {name: experiment.mean(f"{stage}/{branch}/{name}{ending}") for name in MEANS}
        known = {name: mean if mean and mean.count == seeds else None for name, mean in means.items()}
        yield Line(row, experiment, branch + (" (truth)" if ending else ""), known)


def _paper_notes(
    paper: PaperTable,
    table: RunTable,
    repeated: Sequence[tuple[PaperRow, Sequence[Experiment]]],
    others: Sequence[Experiment],
) -> Iterator[str]:
    """Sentences on what was read, what is missing and what cannot be compared."""
    tested = [run for run in table.runs if run.results]
    repeating = [one for _, ours in repeated for one in ours]
    rows, beside = (sum(run.results is not None for one in found for run in one.runs) for found in (repeating, others))
    untested = f", {len(table.runs) - len(tested)} not tested" if len(tested) < len(table.runs) else ""
    yield (
        f"{_read(table)}: {rows} of rows of the paper, {beside} other on {paper.name}, "
        f"{len(tested) - rows - beside} on other datasets{untested}."
    )
    there = [
        min(SEEDS, max((len(one.reported_seeds) for one in ours), default=0))
        for row, ours in repeated
        if row.is_repeatable
    ]
    yield f"{SEEDS * len(there) - sum(there)} of {SEEDS * len(there)} runs missing."
    for _, ours in repeated:
        if len(ours) > 1:
            names = ", ".join(one.name for one in ours)
            yield f"{names}: not averaged, as their settings, weights or test sets differ."
    for one in repeating:
        locations = one.first.results.tested.locations if one.first.results else 0
        if locations != paper.test_locations:
            yield (
                f"{one.name}: tested on {locations} locations, the paper on {paper.test_locations}: not to be compared."
            )


def _read(table: RunTable) -> str:
    return f"{count(len(table.runs), 'run')} read in {', '.join(map(str, table.folders))}"
