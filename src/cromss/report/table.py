"""The one table of runs that every report shows: a row per experiment, with mean and deviation over its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cromss.report import metrics
from cromss.report.differences import Setting, differences
from cromss.report.read import DONE, FoundRuns, Run

EPOCHS = ("best", "last")
"""At which epoch a score is taken: where the run's monitored metric is best, or at the end. A test has one score."""

Values = Mapping[str, tuple[float | None, float | None]]
"""Metric -> value at each of `EPOCHS`."""


@dataclass(frozen=True)
class Mean:
    """Mean over seeds, or over experiments.

    Attributes:
        mean: Of all.
        std: Standard deviation of the sample; None for a single one.
        count: How many.
    """

    mean: float
    std: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Mean | None:
        """The mean of some values; None of none."""
        if not values:
            return None
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True, eq=False)
class Experiment:
    """Runs that differ only in the seed.

    Attributes:
        name: What reports call it, ``"E1"`` for the best.
        settings: A value for each setting of the table.
        runs: In the order of seeds; of one seed the newest last.
        values: What each run reached, in the order of `runs`.
        counted: The runs that means are taken over: those that are done, the newest of a seed; where none is done, all.
        scores: Metric -> mean at each of `EPOCHS`; None where no counted run has it.
    """

    name: str
    settings: tuple[float | str, ...]
    runs: tuple[Run, ...]
    values: tuple[Values, ...]
    counted: tuple[int, ...]
    scores: Mapping[str, tuple[Mean | None, Mean | None]]

    @property
    def is_done(self) -> bool:
        """Whether a run is done, so that the means are final."""
        return any(run.state == DONE for run in self.runs)

    @property
    def first(self) -> Run:
        """The run that represents all: a tested one, if any."""
        return next((run for run in self.runs if run.results), self.runs[0])

    @property
    def states(self) -> list[str]:
        """The states of its runs, each once."""
        return list(dict.fromkeys(run.state for run in self.runs))

    @property
    def is_tested(self) -> bool:
        """Whether a run was tested."""
        return self.first.results is not None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the counted runs, rising."""
        return tuple(sorted({self.runs[number].seed for number in self.counted}))

    @property
    def reported_seeds(self) -> tuple[int, ...]:
        """Seeds that were tested; of an experiment that was never tested, all counted ones."""
        chosen = (self.runs[number] for number in self.counted)
        return tuple(sorted({run.seed for run in chosen if run.results or not self.is_tested}))

    def repeated(self) -> dict[int, list[Run]]:
        """Seed -> its counted runs, the newest last, of seeds that were trained, or tested, more than once."""
        found = {}
        for seed in self.seeds:
            own = [run for number in self.counted if (run := self.runs[number]).seed == seed]
            for again in ([run for run in own if run.results], [run for run in own if len(run.metrics.epochs)]):
                if len(again) > 1:
                    found[seed] = again
        return found

    def mean(self, metric: str, epoch: int = 0) -> Mean | None:
        """The mean of a metric at one of `EPOCHS`; None where no run has it."""
        return self.scores.get(metric, (None, None))[epoch]

    def label(self, settings: Sequence[Setting]) -> str:
        """A description: its values of the settings that differ, else the name of its runs."""
        pairs = [f"{s.label}={value}" for s, value in zip(settings, self.settings, strict=True)]
        return ", ".join(pairs) or self.runs[0].name

    def weights(self) -> str:
        """Origin and file of the weights that training started from."""
        files = dict.fromkeys(f"{each.origin} {Path(str(each.path)).name}" for each in self.first.weights)
        return ", ".join(files) or "random"

    def description(self) -> str:
        """What identifies it, in one line."""
        run, of = self.first, self.first.settings
        sums = dict.fromkeys(f" sha256={each.sha256[:8]}" for each in run.weights if each.sha256)
        locations = f"{run.results.tested.locations} test locations" if run.results else "not tested"
        seeds = self.reported_seeds
        parts = [
            *([f"row {of.row.table} {of.row.input} {of.row.weights}"] if of.row else []),
            f"config {run.config_hash}",
            of.input if of.input == "s1" else f"{of.input} of {of.bands} bands",
            f"{of.backbone} {of.decoder}",
            f"fusion={of.fusion}",
            self.weights() + "".join(sums),
            f"freeze={of.freeze}" + ("" if of.freeze_epochs is None else f" until epoch {of.freeze_epochs}"),
            f"{of.epochs} epoch{'s' * (of.epochs != 1)}" + (f", tested at {run.stage}" if run.stage else ""),
            "all samples" if of.train_samples is None else f"{of.train_samples} samples",
            locations + (f", {run.part}" if run.part else ""),
            f"seed{'s' * (len(seeds) > 1)} {' '.join(map(str, seeds))}",
        ]
        return ", ".join([*parts, *(state for state in self.states if state != DONE)])


@dataclass(frozen=True)
class RunTable:
    """All runs below some folders, compared.

    Attributes:
        folders, runs, problems: See `FoundRuns`.
        settings: What differs among the runs.
        experiments: Best first by the primary metric; those without a finished run, and those without it, last.
        metrics: Names of the scores that can be compared.
        logged: Names of all metrics of the experiments.
        primary: Metric by which experiments are ordered; None where no run has a score.
    """

    folders: Sequence[Path]
    runs: Sequence[Run]
    problems: Sequence[str]
    settings: Sequence[Setting]
    experiments: Sequence[Experiment]
    metrics: Sequence[str]
    logged: Sequence[str]
    primary: str | None

    def best(self, metric: str, epoch: int) -> float | None:
        """The best mean of a metric at one of `EPOCHS` among experiments that are done; None where there is none."""
        done = [one.mean(metric, epoch) for one in self.experiments if one.is_done]
        means = [mean.mean for mean in done if mean is not None]
        return (min if metrics.lower_is_better(metric) else max)(means, default=None)


def compared(found: FoundRuns) -> RunTable:
    """Puts the seeds of each experiment together, and the experiments in order."""
    settings = differences(found.runs)
    experiments = [_experiment(numbers, found.runs, settings) for numbers in _groups(found.runs)]
    logged = list(dict.fromkeys(name for experiment in experiments for name in experiment.scores))
    offered = metrics.compared(logged)
    primary = metrics.choose_primary(offered, [run.monitor for run in found.runs])

    def rank(experiment: Experiment) -> tuple[bool, bool, float]:
        mean = experiment.mean(primary) if primary else None
        sign = 1 if primary and metrics.lower_is_better(primary) else -1
        return (mean is None, not experiment.is_done, 0.0 if mean is None else sign * mean.mean)

    named = [replace(one, name=f"E{index}") for index, one in enumerate(sorted(experiments, key=rank), start=1)]
    return RunTable(found.folders, found.runs, found.problems, settings, named, offered, logged, primary)


def _groups(runs: Sequence[Run]) -> list[list[int]]:
    """Positions of the runs of each experiment.

    Runs belong together that agree in all settings but the seed (`config_hash`) and in the content of the weights that
    they started from. Different tests are never averaged: each makes an experiment of its own, and runs without a test
    belong to that of the end of the training.
    """
    known = {each.path: each.sha256 for run in runs for each in run.weights if each.sha256}
    trainings: dict[tuple[object, ...], list[int]] = {}
    for number, run in enumerate(runs):
        weights = dict.fromkeys(each.sha256 or known.get(each.path, each.path) for each in run.weights)
        trainings.setdefault((run.config_hash, *weights), []).append(number)
    found = []
    for members in trainings.values():
        tests = {runs[number].tested: runs[number].stage for number in members if runs[number].results}
        whole = min(tests, key=lambda test: tests[test] is not None, default=None)
        for test in tests or (None,):
            found.append([n for n in members if (runs[n].tested if runs[n].results else whole) == test])
    return found


def _experiment(numbers: Sequence[int], runs: Sequence[Run], settings: Sequence[Setting]) -> Experiment:
    # Runs of one seed are ordered by the time of their files, so that the later one counts.
    numbers = sorted(numbers, key=lambda number: (runs[number].seed, runs[number].modified, str(runs[number].path)))
    own = tuple(runs[number] for number in numbers)
    values = tuple(_values(run) for run in own)
    done = tuple(index for index, run in enumerate(own) if run.state == DONE)
    counted = done or tuple(range(len(own)))
    names = dict.fromkeys(name for index in counted for name in values[index])
    return Experiment(
        name="",
        settings=tuple(setting.values[numbers[0]] for setting in settings),
        runs=own,
        values=values,
        counted=counted,
        scores={name: _means(name, [(own[index].seed, values[index]) for index in counted]) for name in names},
    )


def _values(run: Run) -> Values:
    """The scores of a run, by metric."""
    row = run.metrics.best_row(run.monitor)
    logged = {name: (run.metrics.at(name, row), run.metrics.at(name, None)) for name in run.metrics.values}
    return {**logged, **{name: (value, value) for name, value in run.test.items()}}


def _means(name: str, reached: Sequence[tuple[int, Values]]) -> tuple[Mean | None, Mean | None]:
    at = [
        {seed: value for seed, values in reached if (value := values.get(name, (None, None))[epoch]) is not None}
        for epoch in range(len(EPOCHS))
    ]
    return Mean.of(list(at[0].values())), Mean.of(list(at[1].values()))
