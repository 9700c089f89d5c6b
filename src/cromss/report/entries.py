"""A report as data, the same for every format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cromss.report.experiments import Experiment
from cromss.report.paper import PaperRow, Score


@dataclass(frozen=True)
class Ours:
    """What an experiment reaches.

    Attributes:
        experiment: Its runs.
        branch: Branch of the network.
        scores: Metric -> percent over seeds; None where undefined.
        difference: mIoU minus the paper's, in points; None without a row, or where undefined.
    """

    experiment: Experiment
    branch: str
    scores: Mapping[str, Score | None]
    difference: float | None


@dataclass(frozen=True)
class Entry:
    """A row of the paper and what experiments reach on it, or one of the other experiments by branch.

    Attributes:
        row: Of the paper; None for another experiment.
        ours: One result an experiment and branch; empty only where a row's runs are missing.
    """

    row: PaperRow | None
    ours: tuple[Ours, ...]

    def names(self) -> tuple[str, str, str, str, str]:
        """Dataset, input, mode, backbone and weights."""
        if self.row is not None:
            return self.row.table, self.row.input, self.row.mode, self.row.backbone, self.row.weights
        experiment = self.ours[0].experiment
        run = experiment.runs[0]
        return run.dataset, run.input, run.mode or "thawing", run.backbone, experiment.weights


@dataclass(frozen=True)
class Group:
    """Entries below one title."""

    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Report:
    """A table as data, the same for every format.

    Attributes:
        title: What the numbers are.
        groups: Of the paper by input and mode, in its order, then the other runs, where there are any; or of all runs
            by dataset and mode.
        experiments: All that occur, by the order of their names.
        notes: What was read, what is missing, and what cannot be compared; sentences.
    """

    title: str
    groups: tuple[Group, ...]
    experiments: tuple[Experiment, ...]
    notes: tuple[str, ...]
