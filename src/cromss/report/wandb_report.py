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
    """The report as an object; nothing is asked of W&B."""
    group = shortened(ablation.name)
    finals = [ablation.final(branch) for branch in ablation.branches]
    curves = [*(f"val/{branch}/miou" for branch in ablation.branches), "val/loss", "train/loss"]
    # Where only seeds differ, all runs are one setting.
    by_setting = [f"config.{path}" for path in ablation.settings] or ["run.group"]
    over_seeds: dict[str, Any] = {"groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}

    def grid(panels: Sequence[Any], groupby: Sequence[str] = ()) -> wr.PanelGrid:
        """Panels about the runs of the sweep, two per row but for those as wide as the report."""
        ours = f'Metric("Group") == {_quoted(group)}'
        runs = wr.Runset(entity=entity, project=project, name=group, filters=ours, groupby=list(groupby))
        for number, panel in enumerate(panels):
            if panel.layout.w != _COLUMNS:
                panel.layout = wr.Layout(x=number % 2 * _COLUMNS // 2, y=number // 2 * 8, w=_COLUMNS // 2, h=8)
        return wr.PanelGrid(runsets=[runs], panels=list(panels))

    def bars(title: str, name: str, **more: Any) -> wr.BarPlot:
        return wr.BarPlot(title=title, metrics=[SummaryMetric(name)], **more, **over_seeds)

    axes: list[Any] = [
        *(Config(path) for path in [*ablation.settings, "seed"]),
        *(SummaryMetric(name) for name in finals),
    ]
    columns = [wr.ParallelCoordinatesPlotColumn(metric=axis) for axis in axes]
    pairs = [(name, path) for path in ablation.settings for name in finals]
    return wr.Report(
        entity=entity,
        project=project,
        title=shortened(f"Sweep {ablation.name}"),
        description=f"Runs that differ in {', '.join(ablation.settings) or 'the seed'}.",
        width="fluid",
        blocks=[
            wr.H2("Curves"),
            wr.P("Mean and deviation over the seeds of a setting."),
            grid([wr.LinePlot(title=name, x="epoch", y=[name], **over_seeds) for name in curves], by_setting),
            wr.H2("Final mIoU"),
            grid([bars(f"{name}, mean over seeds", name) for name in finals], by_setting),
            wr.H2("One setting at a time"),
            wr.P("Mean and deviation over all runs that share its value."),
            grid([bars(f"{name} by {path}", name, groupby=Config(path)) for name, path in pairs]),
            wr.H2("Settings and scores"),
            grid([wr.ParallelCoordinatesPlot(columns=columns, layout=wr.Layout(w=_COLUMNS, h=12))]),
            wr.H2("Patches"),
            wr.P("Panels have the colours of the classes and a legend; masks can be switched on and off."),
            grid([wr.MediaBrowser(media_keys=["panels", "masks"], num_columns=1, layout=wr.Layout(w=_COLUMNS, h=16))]),
        ],
    )


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
