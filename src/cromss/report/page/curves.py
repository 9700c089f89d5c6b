"""Learning curves: mean and deviation over seeds, in as many points as a screen shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cromss.report.page.experiments import PageExperiment

_POINTS = 200
"""Points a curve at most: more than the pixels between two of them tell."""

_ALL_POINTS = 30_000
"""Points of a metric at most, all experiments together, so that hundreds load at once."""

Curve = tuple[list[int], list[float | None], list[float | None]]
"""Epochs, means, standard deviations (None for a single seed)."""


def curves(experiments: Sequence[PageExperiment], metric: str) -> list[Curve]:
    """One curve an experiment, empty where no counted run logged the metric.

    Args:
        experiments: All of the page.
        metric: Name of a logged metric.
    """
    points = min(_POINTS, max(20, _ALL_POINTS // len(experiments)))
    return [_curve(experiment, metric, points) for experiment in experiments]


def _curve(experiment: PageExperiment, metric: str, points: int) -> Curve:
    by_seed = {experiment.runs[number].seed: experiment.runs[number].metrics for number in experiment.counted}
    known = [metrics for metrics in by_seed.values() if metric in metrics.values]
    finite = [(m.epochs[keep], m.values[metric][keep]) for m in known if (keep := np.isfinite(m.values[metric])).any()]
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
