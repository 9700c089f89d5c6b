"""The page in one picture, for slides and papers: the best experiments, and what each setting does."""

from __future__ import annotations

import io
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cromss.report.metrics import is_share, title
from cromss.report.page.figures import Effect
from cromss.report.table import RunTable

_BARS = 20
"""Experiments at most."""

_EFFECTS = 6
"""Settings at most."""

_COLUMNS = 3
_TICKS = 8
"""Values that have a tick each, at most."""

_BLUE, _GREY = "#2a63b8", "#8a8f98"


def summary_png(table: RunTable, effects: Sequence[Effect]) -> bytes:
    """Draws the primary metric at the best epoch, as a PNG; where no run has a score it says so."""
    effects = effects[:_EFFECTS] if table.primary else []
    bars = min(_BARS, len(table.experiments))
    lines = -(-len(effects) // _COLUMNS)
    heights = [0.3 * bars + 0.9, *[2.7] * lines]
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(len(heights), _COLUMNS, height_ratios=heights)
    _draw_bars(figure.add_subplot(grid[0, :]), table)
    for number, effect in enumerate(effects):
        _draw_effect(figure.add_subplot(grid[1 + number // _COLUMNS, number % _COLUMNS]), effect, table)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    return picture.getvalue()


def _draw_bars(axis: Axes, table: RunTable) -> None:
    if table.primary is None:
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no run has logged a score yet", ha="center", transform=axis.transAxes)
        return
    name, factor = table.primary, _factor(table.primary)
    known = [(one, mean) for one in table.experiments if (mean := one.mean(name)) is not None][:_BARS]
    labels = [f"{one.name}  {_short(one.label(table.settings))}" for one, _ in known]
    axis.barh(
        range(len(known)),
        [factor * mean.mean for _, mean in known],
        xerr=[factor * (mean.std or 0) for _, mean in known],
        color=[_BLUE if one.is_done else _GREY for one, _ in known],
        ecolor="#333",
        height=0.7,
        error_kw={"linewidth": 1, "capsize": 2},
    )
    for row, (_, mean) in enumerate(known):
        axis.text(0, row, f"  {factor * mean.mean:.2f}", va="center", color="white", fontsize=8.5)
    axis.set_yticks(range(len(known)), labels, fontsize=8.5)
    axis.invert_yaxis()
    axis.set_xlabel(_axis_title(name), fontsize=8.5)
    axis.tick_params(labelsize=8.5)
    more = len(table.experiments) - len(known)
    about = ["Mean and standard deviation over seeds"]
    about += ["grey: not done"] * any(not one.is_done for one, _ in known) + [f"{more} more not shown"] * bool(more)
    axis.set_title("; ".join(about), fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)


def _draw_effect(axis: Axes, effect: Effect, table: RunTable) -> None:
    name, experiments = str(table.primary), table.experiments
    factor = _factor(name)
    numeric = effect.axis != "category"
    positions = [float(value) if numeric else float(n) for n, value in enumerate(effect.values)]
    for position, members in zip(positions, effect.members, strict=True):
        chosen = [experiments[member] for member in members]
        values = [one.values[run].get(name, (None, None))[0] for one in chosen for run in one.counted]
        points = [factor * value for value in values if value is not None]
        axis.plot([position] * len(points), points, "o", color=_GREY, alpha=0.45, markersize=4, linewidth=0)
    means = effect.means(experiments, name, 0)
    known = [(position, mean) for position, mean in zip(positions, means, strict=True) if mean is not None]
    axis.errorbar(
        [position for position, _ in known],
        [factor * mean.mean for _, mean in known],
        yerr=[factor * (mean.std or 0) for _, mean in known],
        fmt="o-" if numeric else "o",  # nothing lies between two categories
        color=_BLUE,
        linewidth=1.4,
        capsize=3,
    )
    if numeric:
        axis.set_xscale(effect.axis)
        if len(positions) <= _TICKS:
            axis.set_xticks(positions, [f"{position:g}" for position in positions])
            axis.minorticks_off()
    else:
        axis.set_xticks(positions, [_short(str(value), 14) for value in effect.values], fontsize=8)
        axis.set_xlim(-0.5, len(positions) - 0.5)
    axis.set_title(_short(effect.label) + (" (unbalanced)" if effect.note else ""), fontsize=10)
    axis.set_ylabel(_axis_title(name), fontsize=8.5)
    axis.tick_params(labelsize=8.5)
    axis.spines[["top", "right"]].set_visible(False)


def _factor(name: str) -> int:
    return 100 if is_share(name) else 1


def _axis_title(name: str) -> str:
    return _short(title(name)) + (", %" if is_share(name) else "")


def _short(text: str, length: int = 48) -> str:
    cut = text if len(text) <= length else f"{text[: length - 1]}…"
    return cut.replace("$", r"\$")  # no formula
