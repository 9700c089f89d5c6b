"""The table beside a page, for other programs: CSV and Markdown."""

from __future__ import annotations

from cromss.io.cells import markdown
from cromss.report.differences import ABSENT
from cromss.report.formats import csv_table, markdown_table
from cromss.report.metrics import in_table, is_share, title
from cromss.report.notes import notes
from cromss.report.table import EPOCHS, Mean, RunTable


def table_csv(table: RunTable) -> str:
    """One row per experiment: settings, seeds, and of each metric and epoch mean, deviation and number of seeds.

    Shares lie in [0, 1]; a value that is not known is empty.
    """
    columns = _columns(table)
    heads = [f"{name} {part}" for name, _, _ in columns for part in ("mean", "std", "n")]
    rows = []
    for one in table.experiments:
        means = [one.mean(metric, epoch) for _, metric, epoch in columns]
        scores = [cell for mean in means for cell in ((mean.mean, mean.std, mean.count) if mean else ("", "", 0))]
        rows.append([one.name, *one.settings, " ".join(map(str, one.seeds)), " ".join(one.states), *scores])
    return csv_table(["experiment", *(setting.key for setting in table.settings), "seeds", "states", *heads], rows)


def runs_csv(table: RunTable) -> str:
    """One row per run: its experiment, folder, state, settings, and each metric at both epochs."""
    columns = _columns(table)
    header = ["run", "experiment", "seed", "state", "counted", "commit", *(setting.key for setting in table.settings)]
    rows = []
    for one in table.experiments:
        for number, (run, values) in enumerate(zip(one.runs, one.values, strict=True)):
            reached = [values.get(metric, (None, None))[epoch] for _, metric, epoch in columns]
            about = [run.name, one.name, run.seed, run.state, number in one.counted, run.commit]
            rows.append([*about, *one.settings, *reached])
    return csv_table([*header, *(name for name, _, _ in columns)], rows)


def table_markdown(table: RunTable) -> str:
    """The table as it first stands in the page, at the best epoch, the best of a column in bold; and the notes."""
    shown = in_table(table.metrics)
    if table.primary is not None:
        shown = [table.primary, *(name for name in shown if name != table.primary)]
    names = [*(setting.label for setting in table.settings), *(title(name) for name in shown)]
    rows = [["", *map(markdown, names), "seeds"]]
    for one in table.experiments:
        cells = [_cell(one.mean(name), name, table.best(name, 0) if one.is_done else None) for name in shown]
        rows.append([one.name, *(markdown(str(value)) for value in one.settings), *cells, str(len(one.seeds))])
    lines = markdown_table(rows, "l" * (1 + len(table.settings)) + "r" * (len(shown) + 1))
    what = "Mean ± standard deviation over seeds, at the best epoch of each run; shares in percent."
    return "\n".join([*lines, "", what, "", *(f"- {markdown(note)}" for note in notes(table))]) + "\n"


def _columns(table: RunTable) -> list[tuple[str, str, int]]:
    """Name, metric and position in `EPOCHS`; a test has one score."""
    return [
        (metric, metric, 0) if metric.startswith("test/") else (f"{metric} {when}", metric, epoch)
        for metric in table.metrics
        for epoch, when in enumerate(EPOCHS)
        if not (metric.startswith("test/") and epoch)
    ]


def _cell(mean: Mean | None, name: str, top: float | None) -> str:
    if mean is None:
        return ABSENT
    number, std = _number(mean.mean, name), "" if mean.std is None else f" ± {_number(mean.std, name)}"
    return (f"**{number}**" if mean.mean == top else number) + std


def _number(value: float, name: str) -> str:
    return f"{100 * value:.2f}" if is_share(name) else f"{value:.3f}"
