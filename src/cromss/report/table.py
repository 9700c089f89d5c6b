"""A table of the paper with the runs that repeat its rows and the other runs on its dataset; or just all runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from cromss.report.entries import Entry, Group, Ours, Report
from cromss.report.experiments import Experiment, group
from cromss.report.paper import SEEDS, PaperRow, PaperTable, paper_rows
from cromss.report.result_file import Run
from cromss.report.runs import FoundRuns

_WHAT = "mean ± std over seeds, in percent"
_MODE_TITLES = {"frozen": "frozen", "finetuned": "fine-tuned"}


def make_report(table: PaperTable, found: FoundRuns) -> Report:
    """Puts runs beside the rows that they repeat.

    Args:
        table: Of `cromss.report.paper.TABLES`.
        found: All runs; those on other datasets are counted alone.
    """
    here = [run for run in found.runs if run.dataset == table.name]
    rows = paper_rows(table.name)
    experiments: list[Experiment] = []
    groups = []
    for (modality, mode), members in groupby(rows, key=lambda row: (row.input, row.mode)):
        entries = [Entry(row, _ours(row, [run for run in here if repeats(run, row)], experiments)) for row in members]
        groups.append(Group(f"{modality.upper()}, {_MODE_TITLES[mode]}", tuple(entries)))
    others = [run for run in here if not any(repeats(run, row) for row in rows)]
    if others:
        entries = [Entry(None, ours) for ours in _by_experiment(_ours(None, others, experiments))]
        groups.append(Group("Other runs", tuple(entries)))
    entries = [entry for group in groups for entry in group.entries]
    title = f"{table.title} beside Table {table.number} of Liu et al., TGRS 2025: {_WHAT}"
    return Report(
        title, tuple(groups), tuple(experiments), (*_notes(table, found, entries, len(others)), *_parts(experiments))
    )


def make_overview(found: FoundRuns) -> Report:
    """Puts all runs beside each other, by dataset and by what is trained."""
    experiments: list[Experiment] = []
    groups = []
    runs = sorted(found.runs, key=lambda run: (run.dataset, str(run.mode)))
    for (dataset, mode), members in groupby(runs, key=lambda run: (run.dataset, run.mode)):
        entries = [Entry(None, ours) for ours in _by_experiment(_ours(None, list(members), experiments))]
        groups.append(Group(f"{dataset}, {_MODE_TITLES.get(str(mode), 'thawing')}", tuple(entries)))
    notes = (f"{_read(found)}.", *_left_out(found), *_parts(experiments))
    return Report(f"Runs: {_WHAT}", tuple(groups), tuple(experiments), notes)


def repeats(run: Run, row: PaperRow) -> bool:
    """Whether a run says that it repeats a row, and its data, input, encoder and freezing do not contradict it."""
    return run.row == {"table": row.table, "input": row.input, "weights": row.weights} and (
        (run.dataset, run.input, run.backbone, run.mode) == (row.table, row.input, row.backbone, row.mode)
    )


def _ours(row: PaperRow | None, runs: Sequence[Run], experiments: list[Experiment]) -> tuple[Ours, ...]:
    """One result an experiment and branch; new experiments are added to the list."""
    found = []
    for members in group(runs):
        experiment = Experiment(f"E{len(experiments) + 1}", members)
        experiments.append(experiment)
        for branch in members[0].scores:
            scores = experiment.scores(branch)
            reached = scores["miou"]
            difference = None if row is None or reached is None else reached.mean - row.scores["miou"].mean
            found.append(Ours(experiment, branch, scores, difference))
    return tuple(found)


def _by_experiment(ours: Sequence[Ours]) -> list[tuple[Ours, ...]]:
    return [tuple(members) for _, members in groupby(ours, key=lambda one: one.experiment.name)]


def _notes(table: PaperTable, found: FoundRuns, entries: Sequence[Entry], others: int) -> Iterator[str]:
    """What was read, what is missing and what cannot be compared."""
    here = sum(run.dataset == table.name for run in found.runs)
    yield (
        f"{_read(found)}: {here - others} of rows of the paper, {others} other on {table.name}, "
        f"{len(found.runs) - here} on other datasets."
    )
    yield from _left_out(found)
    rows = [(entry.row, [ours.experiment for ours in entry.ours]) for entry in entries if entry.row is not None]
    there = [
        min(SEEDS, max((len(experiment.seeds) for experiment in experiments), default=0))
        for row, experiments in rows
        if row.is_repeatable
    ]
    yield f"{SEEDS * len(there) - sum(there)} of {SEEDS * len(there)} runs missing."
    for _, experiments in rows:
        if len(experiments) > 1:
            names = ", ".join(experiment.name for experiment in experiments)
            yield f"{names}: not averaged, as their settings, weights or test sets differ."
        for experiment in experiments:
            locations = experiment.runs[0].locations
            if locations != table.test_locations:
                yield (
                    f"{experiment.name}: tested on {locations} locations, the paper on {table.test_locations}: not "
                    "to be compared."
                )


def _parts(experiments: Sequence[Experiment]) -> Iterator[str]:
    """Which experiments were tested on a part of the test set."""
    for experiment in experiments:
        if part := experiment.runs[0].part:
            yield f"{experiment.name}: tested on {part}: not to be compared with tests on all of them."


def _read(found: FoundRuns) -> str:
    return f"{_count(len(found.runs), 'run')} read in {', '.join(map(str, found.folders))}"


def _left_out(found: FoundRuns) -> Iterator[str]:
    if found.unreadable:
        yield f"{_count(len(found.unreadable), 'file')} left out: {', '.join(map(str, found.unreadable))}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
