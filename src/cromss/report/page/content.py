"""Everything that a page shows, before it takes a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cromss.report import metrics
from cromss.report.notes import notes
from cromss.report.page.curves import curves
from cromss.report.page.effects import Effect, effects
from cromss.report.page.patches import Gallery, gallery
from cromss.report.table import EPOCHS, Experiment, Mean, RunTable

NO_COLOUR = "#808080"
"""Of a class for which a run has none."""


@dataclass(frozen=True)
class Content:
    """All of a page.

    Attributes:
        table: The runs.
        class_groups: Names before the class of what is known per class.
        classes: Class name -> colour, of all runs.
        effects: Of the settings.
        gallery: Patches.
        notes: What a reader must know before comparing.
    """

    table: RunTable
    class_groups: Sequence[str]
    classes: Mapping[str, str]
    effects: Sequence[Effect]
    gallery: Gallery
    notes: Sequence[str]

    def curves(self) -> dict[str, Any]:
        """Metric -> one curve per experiment, of what is logged per epoch."""
        names = [name for name in self.table.metrics if not name.startswith("test/")]
        return {name: curves(self.table.experiments, name) for name in names}

    def payload(self) -> dict[str, Any]:
        """What the page's script draws from: plain lists, numbers and text."""
        table = self.table
        return {
            "epochs": EPOCHS,
            "primary": table.primary,
            "metrics": [self._metric(name) for name in table.metrics],
            "settings": [{"key": s.key, "label": s.label, "numeric": s.numeric} for s in table.settings],
            "experiments": [self._experiment(one) for one in table.experiments],
            "classes": list(self.classes),
            "colours": list(self.classes.values()),
            "class_groups": [self._class_group(name) for name in self.class_groups],
            "effects": [self._effect(effect) for effect in self.effects],
            "blocks": [vars(block) for block in self.gallery.blocks],
        }

    def _metric(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "title": metrics.title(name),
            "lower": metrics.lower_is_better(name),
            "share": metrics.is_share(name),
            "column": name in metrics.in_table(self.table.metrics),
            "best": [_number(self.table.best(name, epoch)) for epoch in range(len(EPOCHS))],
        }

    def _experiment(self, one: Experiment) -> dict[str, Any]:
        return {
            "name": one.name,
            "label": one.label(self.table.settings),
            "settings": one.settings,
            "done": one.is_done,
            "count": len(one.seeds),
            "states": one.states,
            "scores": [[_numbers(mean) for mean in one.scores.get(name, (None, None))] for name in self.table.metrics],
            "runs": [
                {
                    "name": run.name,
                    "seed": run.seed,
                    "state": run.state,
                    "counted": number in one.counted,
                    "epochs": len(run.metrics.epochs),
                    "values": [[_number(v) for v in values.get(name, (None, None))] for name in self.table.metrics],
                }
                for number, (run, values) in enumerate(zip(one.runs, one.values, strict=True))
            ],
        }

    def _class_group(self, name: str) -> dict[str, Any]:
        values = [self._of_classes(one, name) for one in self.table.experiments]
        return {"name": name, "title": metrics.title(name), "values": values}

    def _of_classes(self, one: Experiment, name: str) -> list[list[float | None]]:
        # By the experiment's own classes: a key may depend on the names beside it.
        names = metrics.class_metrics(name, one.first.config["dataset"]["classes"])
        found = [one.scores.get(names.get(label, ""), (None, None)) for label in self.classes]
        return [[_number(mean.mean if mean else None) for mean in means] for means in found]

    def _effect(self, effect: Effect) -> dict[str, Any]:
        means = [
            [
                [_numbers(mean) for mean in effect.means(self.table.experiments, name, epoch)]
                for epoch in range(len(EPOCHS))
            ]
            for name in self.table.metrics
        ]
        return {**vars(effect), "means": means}


def content(table: RunTable) -> Content:
    """Adds to a table what only a page shows.

    Args:
        table: Of at least one run.
    """
    classes: dict[str, str] = {}
    for run in table.runs:
        own = run.config["dataset"]
        known = dict(zip(own["classes"], own["colours"], strict=False))
        classes = {**dict.fromkeys(own["classes"], NO_COLOUR), **classes, **known}
    return Content(
        table=table,
        class_groups=metrics.class_groups(table.logged),
        classes=classes,
        effects=effects(table.experiments, table.settings),
        gallery=gallery(table.experiments),
        notes=notes(table),
    )


def _numbers(mean: Mean | None) -> list[Any] | None:
    return None if mean is None else [_number(mean.mean), _number(mean.std), mean.count]


def _number(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")
