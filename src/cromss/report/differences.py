"""Which settings differ among runs: the columns of the table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from cromss.report.read import Run
from cromss.runs.identity import experiment_settings, leaves

ABSENT = "\N{EN DASH}"
"""Shown where a run has no such setting."""

_NO_GROUPS = ("hydra/", "trainer/hardware")
"""Prefixes of groups that say where a run is computed, not what it computes."""

Column = tuple[str, ...]
"""One value per run, as JSON; `ABSENT` without."""


@dataclass(frozen=True)
class Setting:
    """One setting that differs.

    Attributes:
        key: Dotted; of a group its name.
        label: The end of the key, as long as no other setting ends so.
        values: One value per run, in the order of the runs: a number, else text.
    """

    key: str
    label: str
    values: tuple[float | str, ...]

    @property
    def numeric(self) -> bool:
        """Whether all runs that have it have a number."""
        present = [value for value in self.values if value != ABSENT]
        return bool(present) and all(isinstance(value, int | float) for value in present)


def differences(runs: Sequence[Run]) -> list[Setting]:
    """The settings in which runs differ, without those that follow from another one.

    The config is resolved: one override appears at every key that refers to it, and one option of a group changes all
    keys of the group. Of equal columns the overridden one is kept, else the one with the shortest key. A key without
    an override is left out where a kept column determines it.

    Groups come first, then keys in the order of the config.
    """
    overridden = frozenset[str]().union(*(run.overridden for run in runs))
    groups = _columns(
        [{_dotted(key): run.choices[key] for key in run.choices if not key.startswith(_NO_GROUPS)} for run in runs]
    )
    keys = _columns([_settings(run) for run in runs])
    kept = {key: column for key, column in groups.items() if ABSENT not in column}
    taken = set(kept.values())
    ranked = sorted(keys, key=lambda key: (key not in overridden, "_target_" in key, key.count("."), len(key)))
    for key in ranked:
        column = keys[key]
        follows = key not in overridden and any(_decides(other, column) for other in kept.values())
        if not follows and (column not in taken or key in overridden):
            kept[key] = column
            taken.add(column)
    order = [*groups, *(key for key in keys if key not in groups)]
    names = sorted(kept, key=order.index)
    return [Setting(key, _label(key, names), _values(kept[key])) for key in names]


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Keys whose values differ among runs; of those with equal columns the first."""
    columns = _columns(settings)
    return list({column: key for key, column in reversed(columns.items())}.values())[::-1]


def _settings(run: Run) -> dict[str, Any]:
    """The settings of the experiment; of paths only that of the weights that the training started from."""
    weights = {key: value for key, value in leaves(run.config) if key.startswith("backbone.weights_path")}
    return experiment_settings(run.config) | weights


def _columns(settings: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Key -> its values, of keys that differ."""
    texts = [{key: json.dumps(value, default=str) for key, value in of_run.items()} for of_run in settings]
    keys = dict.fromkeys(key for of_run in texts for key in of_run)
    columns = {key: tuple(of_run.get(key, ABSENT) for of_run in texts) for key in keys}
    return {key: column for key, column in columns.items() if len(set(column)) > 1}


def _decides(column: Column, other: Column) -> bool:
    """Whether runs that agree in one column always agree in the other."""
    return len(set(zip(column, other, strict=True))) == len(set(column))


def _dotted(group: str) -> str:
    """``trainer.optimizer`` of ``trainer/optimizer@trainer.optimizer``."""
    return group.partition("@")[0].replace("/", ".")


def _label(key: str, keys: Iterable[str]) -> str:
    parts = key.split(".")
    others = [f".{other}" for other in keys if other != key]
    for length in range(1, len(parts)):
        label = ".".join(parts[-length:])
        if not any(other.endswith(f".{label}") for other in others):
            return label
    return key


def _values(column: Column) -> tuple[float | str, ...]:
    values = [text if text == ABSENT else json.loads(text) for text in column]
    texts = {value for value in values if isinstance(value, str) and "/" in value}
    # The last part of paths is enough as long as it differs.
    ends = {text: PurePath(text).name for text in texts}
    short = ends if len(set(ends.values())) == len(texts) else {}
    return tuple(short.get(value, value) if isinstance(value, str) else _plain(value) for value in values)


def _plain(value: Any) -> float | str:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number else json.dumps(value).replace('"', "")
