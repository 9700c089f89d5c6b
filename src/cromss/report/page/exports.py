"""The page's table for other programs: CSV and Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from cromss.io.cells import csv_cell, markdown
from cromss.report.page.content import Content
from cromss.report.page.differences import ABSENT
from cromss.report.page.experiments import EPOCHS, Mean, best, mean_of
from cromss.report.page.metrics import in_table, is_share, title


def table_csv(content: Content) -> str:
    """A row an experiment: settings, seeds, and of each metric and epoch mean, deviation and number of seeds.

    Shares lie in [0, 1]; a value that is not known is empty.
    """
    columns = [(name, epoch) for name in content.metrics for epoch in _epochs(name)]
    heads = [f"{_csv_name(name, epoch)} {part}" for name, epoch in columns for part in ("mean", "std", "n")]
    header = ["experiment", *(setting.key for setting in content.settings), "seeds", "states", *heads]
    rows = []
    for one in content.experiments:
        scores = [mean_of(one, name, epoch) for name, epoch in columns]
        states = dict.fromkeys(run.state for run in one.runs)
        about = [one.name, *one.settings, " ".join(map(str, one.seeds)), " ".join(states)]
        rows.append([*about, *(cell for score in scores for cell in _parts(score))])
    return _csv(header, rows)


def runs_csv(content: Content) -> str:
    """A row a run: its experiment, folder, state, settings, and each metric at both epochs."""
    columns = [(name, epoch) for name in content.metrics for epoch in _epochs(name)]
    settings = [setting.key for setting in content.settings]
    header = ["run", "experiment", "seed", "state", "counted", "commit", *settings]
    rows = []
    for one in content.experiments:
        for number, (run, values) in enumerate(zip(one.runs, one.values, strict=True)):
            reached = [values.get(name, (None, None))[epoch] for name, epoch in columns]
            about = [run.name, one.name, run.seed, run.state, number in one.counted, run.commit]
            rows.append([*about, *one.settings, *reached])
    return _csv([*header, *(_csv_name(name, epoch) for name, epoch in columns)], rows)


def table_markdown(content: Content) -> str:
    """The table as it first stands in the page, at the best epoch, the best of a column in bold; and the notes."""
    shown = in_table(content.metrics)
    if content.primary is not None:
        shown = [content.primary, *(name for name in shown if name != content.primary)]
    tops = {name: best(content.experiments, name, 0) for name in shown}
    names = [*(setting.label for setting in content.settings), *(title(name) for name in shown)]
    header = ["", *map(markdown, names), "seeds"]
    lines = [_row(header), _row(["---", *("---" for _ in content.settings), *("---:" for _ in shown), "---:"])]
    for one in content.experiments:
        cells = [_cell(mean_of(one, name, 0), name, tops[name] if one.is_done else None) for name in shown]
        lines.append(_row([one.name, *(markdown(str(value)) for value in one.settings), *cells, str(len(one.seeds))]))
    what = "Mean ± standard deviation over seeds, at the best epoch of each run; shares in percent."
    return "\n".join([*lines, "", what, "", *(f"- {markdown(note)}" for note in content.notes)]) + "\n"


def _cell(mean: Mean | None, name: str, top: float | None) -> str:
    if mean is None:
        return ABSENT
    number, std = _number(mean.mean, name), "" if mean.std is None else f" ± {_number(mean.std, name)}"
    return (f"**{number}**" if mean.mean == top else number) + std


def _number(value: float, name: str) -> str:
    return f"{100 * value:.2f}" if is_share(name) else f"{value:.3f}"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _epochs(name: str) -> range:
    """A test has one score."""
    return range(1) if name.startswith("test/") else range(len(EPOCHS))


def _csv_name(name: str, epoch: int) -> str:
    return name if name.startswith("test/") else f"{name} {EPOCHS[epoch]}"


def _parts(mean: Mean | None) -> tuple[Any, Any, Any]:
    return ("", "", 0) if mean is None else (_exact(mean.mean), _exact(mean.std), mean.count)


def _exact(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([csv_cell(name) for name in header])
    writer.writerows([[_exact(cell) if isinstance(cell, float) else csv_cell(cell) for cell in row] for row in rows])
    return text.getvalue()
