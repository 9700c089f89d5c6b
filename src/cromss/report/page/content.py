"""Everything that a page shows, before it takes a form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cromss.report.page import metrics
from cromss.report.page.curves import curves
from cromss.report.page.differences import Setting, differences
from cromss.report.page.effects import Effect, effects
from cromss.report.page.experiments import EPOCHS, Mean, PageExperiment, best, group, ordered
from cromss.report.page.notes import notes
from cromss.report.page.patches import Gallery, gallery
from cromss.report.page.read import PageRuns

NO_COLOUR = "#808080"
"""Of a class for which a run has none."""


@dataclass(frozen=True)
class Content:
    """All of a page.

    Attributes:
        folders: Where was searched.
        settings: What differs among the runs.
        experiments: Best first by the primary metric.
        metrics: Names that the page offers.
        primary: What experiments are ordered by; None where no run has a score.
        class_groups: Names before the class of what is known by class.
        classes: Names of the classes of all runs.
        colours: A colour a class.
        effects: Of the settings.
        gallery: Patches.
        notes: What a reader must know before comparing.
    """

    folders: Sequence[Path]
    settings: Sequence[Setting]
    experiments: Sequence[PageExperiment]
    metrics: Sequence[str]
    primary: str | None
    class_groups: Sequence[str]
    classes: Sequence[str]
    colours: Sequence[str]
    effects: Sequence[Effect]
    gallery: Gallery
    notes: Sequence[str]

    def curves(self) -> dict[str, Any]:
        """Metric -> a curve an experiment, of what is logged by epoch."""
        names = [name for name in self.metrics if not name.startswith("test/")]
        return {name: curves(self.experiments, name) for name in names}

    def payload(self) -> dict[str, Any]:
        """What the page's script draws from: plain lists, numbers and text."""
        return {
            "epochs": EPOCHS,
            "primary": self.primary,
            "metrics": [self._metric(name) for name in self.metrics],
            "settings": [{"key": s.key, "label": s.label, "numeric": s.numeric} for s in self.settings],
            "experiments": [self._experiment(one) for one in self.experiments],
            "classes": self.classes,
            "colours": self.colours,
            "class_groups": [self._class_group(name) for name in self.class_groups],
            "effects": [self._effect(effect) for effect in self.effects],
            "blocks": [
                {"locations": block.locations, "left": block.left, "runs": block.runs} for block in self.gallery.blocks
            ],
        }

    def _metric(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "title": metrics.title(name),
            "lower": metrics.lower_is_better(name),
            "share": metrics.is_share(name),
            "column": name in metrics.in_table(self.metrics),
            "best": [_number(best(self.experiments, name, epoch)) for epoch in range(len(EPOCHS))],
        }

    def _experiment(self, one: PageExperiment) -> dict[str, Any]:
        return {
            "name": one.name,
            "label": one.label(self.settings),
            "settings": one.settings,
            "done": one.is_done,
            "count": len(one.seeds),
            "states": list(dict.fromkeys(run.state for run in one.runs)),
            "scores": [_means(one.scores.get(name)) for name in self.metrics],
            "runs": [
                {
                    "name": run.name,
                    "seed": run.seed,
                    "state": run.state,
                    "counted": number in one.counted,
                    "epochs": len(run.metrics.epochs),
                    "values": [_rounded(values.get(name)) for name in self.metrics],
                }
                for number, (run, values) in enumerate(zip(one.runs, one.values, strict=True))
            ],
        }

    def _class_group(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "title": metrics.title(name),
            "values": [self._of_classes(one, name) for one in self.experiments],
        }

    def _of_classes(self, one: PageExperiment, name: str) -> list[list[float | None]]:
        # By the experiment's own classes: a key may depend on the names beside it.
        names = metrics.class_metrics(name, one.runs[0].config["dataset"]["classes"])
        return [_only_means(one.scores.get(names.get(label, ""))) for label in self.classes]

    def _effect(self, effect: Effect) -> dict[str, Any]:
        epochs = range(len(EPOCHS))
        return {
            "setting": effect.setting,
            "label": effect.label,
            "values": effect.values,
            "members": effect.members,
            "axis": effect.axis,
            "note": effect.note,
            "means": [[effect.means(self.experiments, name, epoch) for epoch in epochs] for name in self.metrics],
        }


def content(found: PageRuns) -> Content:
    """Compares runs.

    Args:
        found: At least one run.
    """
    settings = differences(found.runs)
    experiments = group(found.runs, settings)
    names = dict.fromkeys(name for experiment in experiments for name in experiment.scores)
    offered = metrics.compared(names)
    primary = metrics.choose_primary(offered, [run.monitor for run in found.runs])
    in_order = ordered(experiments, primary, 0) if primary else experiments
    in_order = [replace(one, name=f"E{rank}") for rank, one in enumerate(in_order, start=1)]
    pictures = gallery(in_order)
    colours: Mapping[str, str] = {
        label: colour
        for run in reversed(found.runs)
        for label, colour in zip(run.config["dataset"]["classes"], run.config["dataset"]["colours"], strict=False)
    }
    classes = list(dict.fromkeys(label for run in found.runs for label in run.config["dataset"]["classes"]))
    return Content(
        folders=found.folders,
        settings=settings,
        experiments=in_order,
        metrics=offered,
        primary=primary,
        class_groups=metrics.class_groups(names),
        classes=classes,
        colours=[colours.get(label, NO_COLOUR) for label in classes],
        effects=effects(in_order, settings),
        gallery=pictures,
        notes=notes(found, in_order, primary),
    )


def _means(scores: tuple[Mean | None, Mean | None] | None) -> list[Any]:
    if scores is None:
        return [None, None]
    return [None if mean is None else [_number(mean.mean), _number(mean.std), mean.count] for mean in scores]


def _only_means(scores: tuple[Mean | None, Mean | None] | None) -> list[float | None]:
    return [None if mean is None else _number(mean.mean) for mean in scores or (None, None)]


def _rounded(values: tuple[float | None, float | None] | None) -> list[float | None]:
    return [_number(value) for value in values or (None, None)]


def _number(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")
