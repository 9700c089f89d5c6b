"""Learning curves: mean and deviation over seeds, in as many points as a screen shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cromss.report.table import Experiment

_POINTS = 200
"""Points per curve at most; more could not be told apart on a screen."""

_ALL_POINTS = 30_000
"""Points of a metric at most, all experiments together, so that hundreds load at once."""

Curve = tuple[list[int], list[float | None], list[float | None]]
"""Epochs, means, standard deviations (None for a single seed)."""


def curves(experiments: Sequence[Experiment], metric: str) -> list[Curve]:
    """One curve per experiment, empty where no counted run logged the metric.

    Args:
        experiments: All of the page.
        metric: Name of a logged metric.
    """
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
