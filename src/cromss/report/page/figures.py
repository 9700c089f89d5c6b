"""Data of the figures: learning curves, and the effect of each setting on a metric, averaged over the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cromss.report.differences import ABSENT, Setting
from cromss.report.table import Experiment, Mean

_VALUES = 40
"""Most values of an axis with text labels; numbers have no limit."""

_DECADES = 100
"""Greatest over least value from which an axis is logarithmic."""


_POINTS = 200
"""Most points per curve; more cannot be distinguished on a screen."""

_ALL_POINTS = 30_000
"""Points of a metric at most, all experiments together, so that hundreds load at once."""

Curve = tuple[list[int], list[float | None], list[float | None]]
"""Epochs, means, standard deviations (None for a single seed)."""


@dataclass(frozen=True)
class Effect:
    """One setting and its values.

    Attributes:
        setting: Position among the settings of the table.
        label: Of the setting.
        values: Different ones: numbers rising, else in the order of the runs.
        members: Positions of the experiments that have each value.
        axis: ``"linear"``, ``"log"`` or ``"category"``.
        note: Why the means cannot be compared directly; empty where they can.
    """

    setting: int
    label: str
    values: tuple[float | str, ...]
    members: tuple[tuple[int, ...], ...]
    axis: str
    note: str

    def means(self, experiments: Sequence[Experiment], metric: str, epoch: int) -> list[Mean | None]:
        """For each value mean and deviation of the experiments' means; None where none has the metric."""
        known = [[experiments[index].mean(metric, epoch) for index in positions] for positions in self.members]
        return [Mean.of([mean.mean for mean in means if mean is not None]) for means in known]


def effects_of(experiments: Sequence[Experiment], settings: Sequence[Setting]) -> list[Effect]:
    """An effect for each setting of numbers, or of few enough other values; of experiments that are done, if any is."""
    done = [index for index, one in enumerate(experiments) if one.is_done] or list(range(len(experiments)))
    found = []
    for number, setting in enumerate(settings):
        own = {index: experiments[index].settings[number] for index in done}
        values = list(dict.fromkeys(own.values()))
        numeric = setting.numeric and ABSENT not in values
        if len(values) < 2 or (not numeric and len(values) > _VALUES):
            continue
        values = sorted(values, key=float) if numeric else values
        members = tuple(tuple(index for index in done if own[index] == each) for each in values)
        axis = _axis([float(value) for value in values]) if numeric else "category"
        found.append(Effect(number, setting.label, tuple(values), members, axis, _note(experiments, number, members)))
    return found


def _axis(values: Sequence[float]) -> str:
    return "log" if min(values) > 0 and max(values) / min(values) >= _DECADES else "linear"


def _note(experiments: Sequence[Experiment], number: int, members: Sequence[Sequence[int]]) -> str:
    """A warning where the values were not all tried with the same other settings."""
    others = [
        frozenset(
            one.settings[:number] + one.settings[number + 1 :] for one in (experiments[index] for index in positions)
        )
        for positions in members
    ]
    shared, everything = frozenset.intersection(*others), frozenset.union(*others)
    if shared == everything:
        return ""
    return (
        f"unbalanced: of {len(everything)} combinations of the other settings {len(shared)} were tried with every "
        "value, so the other settings contribute to the difference"
    )


def curves(experiments: Sequence[Experiment], metric: str) -> list[Curve]:
    """Mean and deviation over seeds of a logged metric: one curve per experiment, empty where no counted run has it."""
    points = min(_POINTS, max(20, _ALL_POINTS // len(experiments)))
    return [_curve(experiment, metric, points) for experiment in experiments]


def _curve(experiment: Experiment, metric: str, points: int) -> Curve:
    runs = [experiment.runs[number] for number in experiment.counted]
    by_seed = {run.seed: run.metrics for run in runs if metric in run.metrics.values}
    finite = [
        (known.epochs[keep], known.values[metric][keep])
        for known in by_seed.values()
        if (keep := np.isfinite(known.values[metric])).any()
    ]
    if not finite:
        return [], [], []
    epochs = np.unique(np.concatenate([of_run for of_run, _ in finite]))
    table = np.full((len(finite), len(epochs)), np.nan)
    for row, (of_run, values) in enumerate(finite):
        table[row, np.searchsorted(epochs, of_run)] = values
    shown = np.unique(np.linspace(0, len(epochs) - 1, min(points, len(epochs))).round().astype(int))
    table = table[:, shown]
    counts = np.isfinite(table).sum(axis=0)
    mean = np.nansum(table, axis=0) / counts
    squares = np.nansum((table - mean) ** 2, axis=0)
    std = [float(f"{np.sqrt(s / (n - 1)):.3g}") if n > 1 else None for s, n in zip(squares, counts, strict=True)]
    return epochs[shown].tolist(), [float(f"{value:.4g}") for value in mean], std
