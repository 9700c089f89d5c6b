"""A report on W&B about a sweep: curves, final scores, settings against scores, pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import wandb

from cromss.io.extras import extra
from cromss.report.sweeps import Ablation, read_ablation
from cromss.runs.wandb_names import has_api_key, shortened

with extra("wandb-report", "wandb=PROJECT"):
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces.reports.v2.interface import Config, SummaryMetric
try:
    from wandb.sdk.lib.service.service_connection import WandbApiFailedError
except ImportError as error:
    raise ValueError(
        f"wandb {wandb.__version__} is another version than this program knows ({error}): pip install 'wandb<0.32'"
    ) from error

_COLUMNS = 24
"""Of a report as wide as the window."""


def publish(project: str, sweep: str | None) -> str:
    """Makes a report on W&B about a sweep whose folder lies here and whose runs are on W&B.

    Args:
        project: ``ENTITY/PROJECT``, or ``PROJECT`` of the key's own entity.
        sweep: The sweep's folder, or its name below ``outputs/sweeps``.

    Returns:
        Where the report is.

    Raises:
        ValueError: The project or sweep is none, nothing is measured yet, there is no API key, or W&B does not answer.
    """
    *entity, name = str(project).split("/")
    if len(entity) > 1 or not all([*entity, name]):
        raise ValueError(f"wandb={project} is no project: set wandb=ENTITY/PROJECT")
    ablation = read_ablation(_folder(sweep))
    if not has_api_key():
        raise ValueError("W&B takes a report only with an API key: `wandb login`, or set WANDB_API_KEY")
    try:
        report = specification(entity[0] if entity else str(wandb.Api().default_entity), name, ablation)
        report.save()  # which prints where it is
    except (wandb.Error, WandbApiFailedError, OSError) as error:
        raise ValueError(f"W&B did not take the report ({type(error).__name__}: {error})") from error
    return str(report.url)


def specification(entity: str, project: str, ablation: Ablation) -> wr.Report:
    """The report as an object; nothing is asked of W&B.

    Args:
        entity: Team or user.
        project: W&B project.
        ablation: What it is about.
    """
    group = shortened(ablation.name)
    finals = [ablation.final(branch) for branch in ablation.branches]
    over_seeds: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}

    def runs(groupby: Sequence[str]) -> list[wr.Runset]:
        ours = f'Metric("Group") == {_quoted(group)}'
        return [wr.Runset(entity=entity, project=project, name=group, filters=ours, groupby=list(groupby))]

    # Where only seeds differ, all runs are one setting.
    by_setting = [f"config.{path}" for path in ablation.settings] or ["run.group"]
    curves = [*(f"val/{branch}/miou" for branch in ablation.branches), "val/loss", "train/loss"]
    curves_grid = wr.PanelGrid(
        runsets=runs(by_setting),
        panels=[
            wr.LinePlot(title=name, x="epoch", y=[name], layout=_cell(i), **over_seeds) for i, name in enumerate(curves)
        ],
    )
    bars_grid = wr.PanelGrid(
        runsets=runs(by_setting),
        panels=[
            wr.BarPlot(title=f"{name}, mean over seeds", metrics=[SummaryMetric(name)], layout=_cell(i), **over_seeds)
            for i, name in enumerate(finals)
        ],
    )
    pairs = [(name, path) for path in ablation.settings for name in finals]
    one_by_one = wr.PanelGrid(
        runsets=runs([]),
        panels=[
            wr.BarPlot(
                title=f"{name} by {path}",
                metrics=[SummaryMetric(name)],
                groupby=Config(path),
                layout=_cell(i),
                **over_seeds,
            )
            for i, (name, path) in enumerate(pairs)
        ],
    )
    axes: list[Any] = [Config(path) for path in [*ablation.settings, "seed"]]
    axes += [SummaryMetric(name) for name in finals]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes]
    lines = wr.ParallelCoordinatesPlot(columns=columns, layout=wr.Layout(w=_COLUMNS, h=12))
    pictures = wr.MediaBrowser(media_keys=["panels", "masks"], num_columns=1, layout=wr.Layout(w=_COLUMNS, h=16))
    return wr.Report(
        entity=entity,
        project=project,
        title=shortened(f"Sweep {ablation.name}"),
        description=f"Runs that differ in {', '.join(ablation.settings) or 'the seed'}.",
        width="fluid",
        blocks=[
            wr.H2("Curves"),
            wr.P("Mean and deviation over the seeds of a setting."),
            curves_grid,
            wr.H2("Final mIoU"),
            bars_grid,
            wr.H2("One setting at a time"),
            wr.P("Mean and deviation over all runs that share its value."),
            one_by_one,
            wr.H2("Settings and scores"),
            wr.PanelGrid(runsets=runs([]), panels=[lines]),
            wr.H2("Patches"),
            wr.P("Panels have the colours of the classes and a legend; masks can be switched on and off."),
            wr.PanelGrid(runsets=runs([]), panels=[pictures]),
        ],
    )


def _cell(number: int) -> wr.Layout:
    """Where a panel is, two in a row."""
    return wr.Layout(x=number % 2 * _COLUMNS // 2, y=number // 2 * 8, w=_COLUMNS // 2, h=8)


def _quoted(value: str) -> str:
    """A string in a filter. The library takes any `=`, `<` or `>` in there for an operator, unless it is escaped."""
    return '"' + "".join(c if c.isalnum() or c in "., _-" else f"\\U{ord(c):08x}" for c in value) + '"'


def _folder(sweep: str | None) -> Path:
    if sweep is None:
        raise ValueError("a report on W&B is about one sweep: set sweep=NAME, its folder's name in outputs/sweeps")
    paths = [Path(str(sweep)).expanduser(), Path("outputs") / "sweeps" / str(sweep)]
    found = next((path for path in paths if path.is_dir()), None)
    if found is None:
        raise ValueError(f"sweep={sweep} is no folder, and none of outputs/sweeps: set its path")
    return found
