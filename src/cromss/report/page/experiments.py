"""Runs that differ in nothing but the seed, and what they reach together."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cromss.report.page.differences import Setting
from cromss.report.page.metrics import lower_is_better
from cromss.report.page.run_folder import DONE, PageRun

EPOCHS = ("best", "last")
"""At which epoch a score is taken: where the run's monitored metric is best, or at the end. A test has one score."""

Values = Mapping[str, tuple[float | None, float | None]]
"""Metric -> value at each of `EPOCHS`."""


@dataclass(frozen=True)
class Mean:
    """Mean over seeds.

    Attributes:
        mean: Of the seeds.
        std: Standard deviation of the sample; None for a single seed.
        count: Number of seeds.
    """

    mean: float
    std: float | None
    count: int


@dataclass(frozen=True)
class PageExperiment:
    """A row of the table.

    Attributes:
        name: What the page calls it, ``"E1"`` for the best.
        settings: A value for each of the page's settings.
        runs: In the order of seeds.
        values: What each run reached, in the order of `runs`.
        counted: The runs that means are taken over: those that are done, the newest of a seed; where none is done, all.
        scores: Metric -> mean at each of `EPOCHS`; None where no counted run has it.
    """

    name: str
    settings: tuple[float | str, ...]
    runs: tuple[PageRun, ...]
    values: tuple[Values, ...]
    counted: tuple[int, ...]
    scores: Mapping[str, tuple[Mean | None, Mean | None]]

    @property
    def is_done(self) -> bool:
        """Whether a run is done, so that the means are final."""
        return any(run.state == DONE for run in self.runs)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the counted runs."""
        return tuple(sorted({self.runs[number].seed for number in self.counted}))

    @property
    def repeated(self) -> tuple[int, ...]:
        """Seeds that were trained to the end more than once."""
        trained = Counter(run.seed for run in self.runs if run.state == DONE and len(run.metrics.epochs))
        return tuple(seed for seed, count in trained.items() if count > 1)

    def label(self, settings: Sequence[Setting]) -> str:
        """What it is in words: its values of the settings that differ, else its runs' name."""
        pairs = [f"{s.label}={value}" for s, value in zip(settings, self.settings, strict=True)]
        return ", ".join(pairs) or self.runs[0].name


def group(runs: Sequence[PageRun], settings: Sequence[Setting]) -> list[PageExperiment]:
    """Puts the seeds of each experiment together.

    Args:
        runs: All.
        settings: What differs among them.
    """
    members: dict[tuple[object, ...], list[int]] = {}
    for number, run in enumerate(runs):
        members.setdefault(run.key, []).append(number)
    experiments = []
    for name, numbers in enumerate(members.values(), start=1):
        # Two of one seed stand in the order of their files, so that the later one counts.
        numbers = sorted(numbers, key=lambda number: (runs[number].seed, _modified(runs[number])))
        own = tuple(runs[number] for number in numbers)
        values = tuple(values_of(run) for run in own)
        done = tuple(place for place, run in enumerate(own) if run.state == DONE)
        counted = done or tuple(range(len(own)))
        experiments.append(
            PageExperiment(
                name=f"E{name}",
                settings=tuple(setting.values[numbers[0]] for setting in settings),
                runs=own,
                values=values,
                counted=counted,
                scores=_scores([own[place].seed for place in counted], [values[place] for place in counted]),
            )
        )
    return experiments


def values_of(run: PageRun) -> Values:
    """What a run reached, by metric."""
    row = run.metrics.best_row(run.monitor)
    logged = {name: (run.metrics.at(name, row), run.metrics.at(name, None)) for name in run.metrics.values}
    return {**logged, **{name: (value, value) for name, value in run.test.items()}}


def best(experiments: Sequence[PageExperiment], metric: str, epoch: int) -> float | None:
    """The best mean of a metric among experiments that are done; None where there is none.

    Args:
        experiments: To choose among.
        metric: Name.
        epoch: Position in `EPOCHS`.
    """
    means = [mean.mean for one in experiments if one.is_done and (mean := mean_of(one, metric, epoch)) is not None]
    return (min if lower_is_better(metric) else max)(means, default=None)


def mean_of(experiment: PageExperiment, metric: str, epoch: int) -> Mean | None:
    """The mean of a metric; None where no run has it."""
    return experiment.scores.get(metric, (None, None))[epoch]


def ordered(experiments: Sequence[PageExperiment], metric: str, epoch: int) -> list[PageExperiment]:
    """Best first; what is not done, and what lacks the metric, last."""

    def rank(experiment: PageExperiment) -> tuple[bool, bool, float]:
        mean = mean_of(experiment, metric, epoch)
        sign = 1 if lower_is_better(metric) else -1
        return (mean is None, not experiment.is_done, 0.0 if mean is None else sign * mean.mean)

    return sorted(experiments, key=rank)


def _scores(seeds: Sequence[int], values: Sequence[Values]) -> dict[str, tuple[Mean | None, Mean | None]]:
    names = dict.fromkeys(name for of_run in values for name in of_run)
    found = {}
    for name in names:
        first, last = (_mean(seeds, [of_run.get(name, (None, None))[epoch] for of_run in values]) for epoch in (0, 1))
        found[name] = (first, last)
    return found


def _mean(seeds: Sequence[int], values: Sequence[float | None]) -> Mean | None:
    by_seed = {seed: value for seed, value in zip(seeds, values, strict=True) if value is not None}
    if not by_seed:
        return None
    numbers = list(by_seed.values())
    return Mean(statistics.fmean(numbers), statistics.stdev(numbers) if len(numbers) > 1 else None, len(numbers))


def _modified(run: PageRun) -> float:
    return max(path.stat().st_mtime for path in run.path.iterdir() if path.is_file())
