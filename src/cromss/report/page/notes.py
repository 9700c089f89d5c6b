"""What a reader must know before comparing: runs that are missing, and runs that are not alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cromss.report.page.differences import differing
from cromss.report.page.experiments import PageExperiment, mean_of
from cromss.report.page.metrics import title
from cromss.report.page.read import PageRuns
from cromss.report.page.run_folder import DONE, PageRun
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


def notes(found: PageRuns, experiments: Sequence[PageExperiment], primary: str | None) -> list[str]:
    """All warnings of the page, a sentence or two each."""
    return [
        *_states(found.runs),
        *_seeds(experiments),
        *_code(found.runs),
        *_data(found.runs),
        *_missing(experiments, primary),
        *(f"Left out: {problem}" for problem in found.problems),
    ]


def _states(runs: Sequence[PageRun]) -> Iterator[str]:
    by_state: dict[str, list[PageRun]] = {}
    for run in runs:
        by_state.setdefault(run.state, []).append(run)
    for state in sorted(set(by_state) - {DONE}):
        names = _names([f"{run.name}" + (f" ({run.error})" if run.error else "") for run in by_state[state]])
        rest = "" if state == "failed" else "; what it has so far counts only where no seed is done"
        yield f"{_count(len(by_state[state]), 'run')} {state}: {names}{rest}."


def _seeds(experiments: Sequence[PageExperiment]) -> Iterator[str]:
    done = [experiment for experiment in experiments if experiment.is_done]
    usual = Counter(experiment.seeds for experiment in done).most_common(1)
    others = [experiment for experiment in done if usual and experiment.seeds != usual[0][0]]
    if others:
        each = [f"{one.name} has {', '.join(map(str, one.seeds))}" for one in others]
        yield f"Unequal seeds: most experiments have {', '.join(map(str, usual[0][0]))}; {_names(each)}."
    for experiment in experiments:
        for seed in experiment.repeated:
            yield f"{experiment.name}: seed {seed} was run more than once; the newest counts."


def _code(runs: Sequence[PageRun]) -> Iterator[str]:
    commits = Counter(run.commit for run in runs if run.commit is not None)
    if len(commits) > 1:
        each = [f"{_short(commit)} ({_count(count, 'run')})" for commit, count in commits.most_common()]
        yield f"Different code: commits {_names(each)}."
    changed = sum(count for commit, count in commits.items() if commit.endswith("+changes"))
    if changed:
        yield f"{_count(changed, 'run')} of code with changes that were not committed: it may differ among them."


def _data(runs: Sequence[PageRun]) -> Iterator[str]:
    settings = [_data_settings(run) for run in runs]
    for key in differing(settings):
        values = dict.fromkeys(str(of_run.get(key, "none")) for of_run in settings)
        yield f"Different data: {key} is {_names(list(values))}."


def _data_settings(run: PageRun) -> dict[str, Any]:
    own: Mapping[str, Any] = dict(leaves(run.config))
    chosen = {"dataset": run.choices["dataset"]} if "dataset" in run.choices else {}
    return chosen | {key: value for key, value in own.items() if key.startswith(_DATA) and not key.startswith(_NO_DATA)}


def _missing(experiments: Sequence[PageExperiment], primary: str | None) -> Iterator[str]:
    if primary is None:
        yield "No run has logged a score yet."
        return
    without = [one.name for one in experiments if mean_of(one, primary, 0) is None]
    if without:
        yield f"Without {title(primary)}: {_names(without)}."


def _short(commit: str) -> str:
    digits, plus, changes = commit.partition("+")
    return digits[:8] + plus + changes


def _names(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
