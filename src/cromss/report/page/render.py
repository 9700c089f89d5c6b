"""The page as one HTML file without external resources."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cromss.report import metrics
from cromss.report.notes import notes
from cromss.report.page.figures import Effect, curves
from cromss.report.page.patches import Block, gallery
from cromss.report.table import EPOCHS, Experiment, Mean, RunTable

_SCRIPTS = ("format.js", "table.js", "figures.js", "patches.js", "main.js")

_NO_COLOUR = "#808080"
"""Of a class for which a run has none."""


def render(table: RunTable, effects: Sequence[Effect]) -> str:
    """Draws the page.

    It loads nothing from elsewhere. Plotly and the learning curves are compressed in it, and unpacked when a figure
    comes into sight.
    """
    assets = files("cromss.report.page").joinpath("assets")
    environment = Environment(
        loader=PackageLoader("cromss.report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    blocks, about_patches = gallery(table.experiments)
    data = page_data(table, effects, blocks)
    by_epoch = [name for name in table.metrics if not name.startswith("test/")]
    return environment.get_template("page.html.j2").render(
        table=table,
        notes=notes(table),
        about_patches=about_patches,
        data=_json(data),
        has={"effects": effects, "classes": data["class_groups"], "patches": blocks},
        css=Markup(assets.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join(assets.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS)),
        curves={name: _packed(json.dumps(curves(table.experiments, name), allow_nan=False)) for name in by_epoch},
        plotly=_packed(get_plotlyjs()),
    )


def page_data(table: RunTable, effects: Sequence[Effect], blocks: Sequence[Block]) -> dict[str, Any]:
    """The data of the page's script: plain lists, numbers and text."""
    return {
        **_classes(table),
        "effects": [_effect(effect, table) for effect in effects],
        "blocks": [vars(block) for block in blocks],
        "primary": table.primary,
        "metrics": [
            {
                "name": name,
                "title": metrics.title(name),
                "lower": metrics.lower_is_better(name),
                "share": metrics.is_share(name),
                "column": name in metrics.in_table(table.metrics),
                "best": [_number(table.best(name, epoch)) for epoch in range(len(EPOCHS))],
            }
            for name in table.metrics
        ],
        "settings": [{"key": s.key, "label": s.label, "numeric": s.numeric} for s in table.settings],
        "experiments": [_experiment(one, table) for one in table.experiments],
    }


def _experiment(one: Experiment, table: RunTable) -> dict[str, Any]:
    return {
        "name": one.name,
        "label": one.label(table.settings),
        "settings": one.settings,
        "done": one.is_done,
        "count": len(one.seeds),
        "states": one.states,
        "scores": [[_numbers(mean) for mean in one.scores.get(name, (None, None))] for name in table.metrics],
        "runs": [
            {
                "name": run.name,
                "seed": run.seed,
                "state": run.state,
                "counted": number in one.counted,
                "epochs": len(run.metrics.epochs),
                "values": [[_number(v) for v in values.get(name, (None, None))] for name in table.metrics],
            }
            for number, (run, values) in enumerate(zip(one.runs, one.values, strict=True))
        ],
    }


def _classes(table: RunTable) -> dict[str, Any]:
    colours: dict[str, str] = {}
    for run in table.runs:
        own = run.config["dataset"]
        known = dict(zip(own["classes"], own["colours"], strict=False))
        colours = {**dict.fromkeys(own["classes"], _NO_COLOUR), **colours, **known}

    def values(one: Experiment, group: str) -> list[list[float | None]]:
        # By the experiment's own classes: a key may depend on the names beside it.
        names = metrics.class_metrics(group, one.first.config["dataset"]["classes"])
        found = [one.scores.get(names.get(label, ""), (None, None)) for label in colours]
        return [[_number(mean.mean if mean else None) for mean in means] for means in found]

    groups = [
        {"name": name, "title": metrics.title(name), "values": [values(one, name) for one in table.experiments]}
        for name in metrics.class_groups(table.logged)
    ]
    return {"classes": list(colours), "colours": list(colours.values()), "class_groups": groups}


def _effect(effect: Effect, table: RunTable) -> dict[str, Any]:
    def means(name: str) -> list[list[Any]]:
        at = (effect.means(table.experiments, name, epoch) for epoch in range(len(EPOCHS)))
        return [[_numbers(mean) for mean in found] for found in at]

    return {**vars(effect), "means": [means(name) for name in table.metrics]}


def _numbers(mean: Mean | None) -> list[Any] | None:
    return None if mean is None else [_number(mean.mean), _number(mean.std), mean.count]


def _number(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")


def _json(value: Any) -> Markup:
    """JSON that cannot end the HTML element that contains it."""
    return Markup(json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))


def _packed(text: str) -> str:
    """Compressed base64 text; the same input gives the same output."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()
