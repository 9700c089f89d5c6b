"""What each setting does to a metric, the others averaged out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from cromss.report.page.differences import ABSENT, Setting
from cromss.report.page.experiments import PageExperiment, mean_of

_VALUES = 40
"""Different values that an axis can name; numbers need no names."""

_DECADES = 100
"""Greatest over least value from which an axis is logarithmic."""


@dataclass(frozen=True)
class Effect:
    """One setting and its values.

    Attributes:
        setting: Position among the page's settings.
        label: Of the setting.
        values: Different ones: numbers rising, else in the order of the runs.
        members: Positions of the experiments that have each value.
        axis: ``"linear"``, ``"log"`` or ``"category"``.
        note: Why the means are not to be compared as they are; empty where they are.
    """

    setting: int
    label: str
    values: tuple[float | str, ...]
    members: tuple[tuple[int, ...], ...]
    axis: str
    note: str

    def means(self, experiments: Sequence[PageExperiment], metric: str, epoch: int) -> list[float | None]:
        """Mean of the experiments' means for each value; None where none has the metric."""
        found = [[mean_of(experiments[place], metric, epoch) for place in places] for places in self.members]
        known = [[mean.mean for mean in means if mean is not None] for means in found]
        return [statistics.fmean(means) if means else None for means in known]


def effects(experiments: Sequence[PageExperiment], settings: Sequence[Setting]) -> list[Effect]:
    """An effect for each setting of numbers, or of few enough other values."""
    found = []
    for number, setting in enumerate(settings):
        own = [experiment.settings[number] for experiment in experiments]
        values = list(dict.fromkeys(own))
        numeric = setting.numeric and ABSENT not in values
        if len(values) < 2 or (not numeric and len(values) > _VALUES):
            continue
        values = sorted(values, key=float) if numeric else values
        members = tuple(tuple(place for place, value in enumerate(own) if value == each) for each in values)
        axis = _axis([float(value) for value in values]) if numeric else "category"
        found.append(Effect(number, setting.label, tuple(values), members, axis, _note(experiments, number, members)))
    return found


def _axis(values: Sequence[float]) -> str:
    return "log" if min(values) > 0 and max(values) / min(values) >= _DECADES else "linear"


def _note(experiments: Sequence[PageExperiment], number: int, members: Sequence[Sequence[int]]) -> str:
    """Says where not every value was tried with the same others."""
    others = [frozenset(_without(experiments[place].settings, number) for place in places) for places in members]
    shared = frozenset.intersection(*others)
    if all(combinations == shared for combinations in others):
        return ""
    everything = frozenset.union(*others)
    return (
        f"unbalanced: of {len(everything)} combinations of the other settings {len(shared)} were tried with every "
        "value, so other settings play in"
    )


def _without(settings: tuple[float | str, ...], number: int) -> tuple[float | str, ...]:
    return settings[:number] + settings[number + 1 :]
