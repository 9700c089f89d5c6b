"""Warnings for a comparison: missing runs, and runs that cannot be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from cromss.report.differences import differing
from cromss.report.metrics import title
from cromss.report.read import DONE, Run
from cromss.report.table import Experiment, RunTable
from cromss.runs.identity import leaves

_NAMED = 8
"""Names in one sentence at most."""

_DATA = (
    "dataset.reader.",
    "dataset.val_fraction",
    "dataset.split_seed",
    "dataset.eval_season",
    "dataset.validate",
    "dataset.evaluate",
)
_NO_DATA = ("dataset.reader._target_", "dataset.reader.cache")


def notes(table: RunTable) -> list[str]:
    """All warnings of a comparison, a sentence or two each."""
    return [
        *of_runs(table),
        *_seeds(table.experiments),
        *_code(table.runs),
        *_data(table.runs),
        *_missing(table),
        *of_tests(table.experiments),
        *left_out(table),
    ]


def of_runs(table: RunTable) -> Iterator[str]:
    """Runs that are not done, and seeds that ran more than once."""
    by_state: dict[str, list[Run]] = {}
    for run in table.runs:
        by_state.setdefault(run.state, []).append(run)
    for state in sorted(set(by_state) - {DONE}):
        names = _names([f"{run.name}" + (f" ({run.error})" if run.error else "") for run in by_state[state]])
        rest = "" if state == "failed" else "; what it has so far counts only where no seed is done"
        yield f"{count(len(by_state[state]), 'run')} {state}: {names}{rest}."
    for experiment in table.experiments:
        for seed, (*older, newest) in experiment.repeated().items():
            names = _names([run.name for run in older])
            yield f"{experiment.name}: seed {seed} was run more than once: {newest.name} counts, the older {names} not."


def of_tests(experiments: Sequence[Experiment]) -> Iterator[str]:
    """Experiments that were tested on a part of the test set."""
    for one in experiments:
        if one.first.part:
            yield f"{one.name}: tested on {one.first.part}: not to be compared with tests on all of them."


def left_out(table: RunTable) -> Iterator[str]:
    """What could not be read."""
    return (f"Left out: {problem}." for problem in table.problems)


def count(number: int, noun: str) -> str:
    """A number with its noun, ``"1 run"``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def _seeds(experiments: Sequence[Experiment]) -> Iterator[str]:
    done = [experiment for experiment in experiments if experiment.is_done]
    usual = Counter(experiment.seeds for experiment in done).most_common(1)
    others = [experiment for experiment in done if usual and experiment.seeds != usual[0][0]]
    if others:
        each = [f"{one.name} has {', '.join(map(str, one.seeds))}" for one in others]
        yield f"Unequal seeds: most experiments have {', '.join(map(str, usual[0][0]))}; {_names(each)}."


def _code(runs: Sequence[Run]) -> Iterator[str]:
    commits = Counter(run.commit for run in runs if run.commit is not None)
    if len(commits) > 1:
        each = [f"{_short(commit)} ({count(number, 'run')})" for commit, number in commits.most_common()]
        yield f"Different code: commits {_names(each)}."
    changed = sum(number for commit, number in commits.items() if commit.endswith("+changes"))
    if changed:
        yield f"{count(changed, 'run')} of code with changes that were not committed: it may differ among them."


def _data(runs: Sequence[Run]) -> Iterator[str]:
    settings = [_data_settings(run) for run in runs]
    for key in differing(settings):
        values = dict.fromkeys(str(of_run.get(key, "none")) for of_run in settings)
        yield f"Different data: {key} is {_names(list(values))}."


def _data_settings(run: Run) -> dict[str, Any]:
    own = {key: value for key, value in leaves(run.config) if key.startswith(_DATA) and not key.startswith(_NO_DATA)}
    return {"dataset": run.settings.dataset, **own}


def _missing(table: RunTable) -> Iterator[str]:
    if table.primary is None:
        yield "No run has logged a score yet."
        return
    without = [one.name for one in table.experiments if one.mean(table.primary) is None]
    if without:
        yield f"Without {title(table.primary)}: {_names(without)}."


def _short(commit: str) -> str:
    digits, plus, changes = commit.partition("+")
    return digits[:8] + plus + changes


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
