"""A report as text, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence

from cromss.io.cells import csv_cell, markdown
from cromss.io.plain import printable
from cromss.report.cells import HEADER, LABELS, descriptions, rows
from cromss.report.entries import Entry, Ours, Report
from cromss.report.paper import Score
from cromss.runs.results import MEANS

WIDTH = 120
"""Columns of a terminal that text fits into."""


def as_text(report: Report) -> str:
    """Aligned columns for a terminal, within `WIDTH`."""
    cells = [rows(group) for group in report.groups]
    everything = [HEADER, *(row for group in cells for row in group)]
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    heads = _line(HEADER[LABELS:], widths[LABELS:])
    lines = [report.title, ""]
    for group, members in zip(report.groups, cells, strict=True):
        lines += [f"{group.title:{sum(widths[:LABELS]) + 2 * LABELS}}{heads}"]
        lines += [*(_line(row, widths) for row in members), ""]
    for name, description in descriptions(report):
        lines += textwrap.wrap(f"{name:4} {description}", WIDTH, subsequent_indent=" " * 5)
    lines += [""] * bool(report.experiments)
    for note in report.notes:
        lines += textwrap.wrap(note, WIDTH)
    return "\n".join(lines) + "\n"


def as_markdown(report: Report) -> str:
    """A Markdown table a group."""
    lines = [f"## {markdown(report.title)}", ""]
    for group in report.groups:
        lines += [
            f"### {markdown(group.title)}",
            "",
            _piped(HEADER),
            f"|{'---|' * LABELS}---:|---:|---:|---:|---:|---|",
        ]
        lines += [*(_piped(row) for row in rows(group)), ""]
    lines += [f"- {name}: {markdown(description)}" for name, description in descriptions(report)]
    lines += [f"- {markdown(note)}" for note in report.notes]
    return "\n".join(lines) + "\n"


def as_latex(report: Report) -> str:
    """A `tabular` of the package booktabs; settings and notes are comments."""
    lines = [f"% {report.title}", r"% needs \usepackage{booktabs}", r"\begin{tabular}{lllrrrrrl}", r"\toprule"]
    lines.append(_latex_row(HEADER))
    for group in report.groups:
        heading = rf"\multicolumn{{{len(HEADER)}}}{{l}}{{\textit{{{latex(group.title)}}}}} \\"
        lines += [r"\midrule", heading, *(_latex_row(row) for row in rows(group))]
    lines += [r"\bottomrule", r"\end{tabular}"]
    # A line break would end the comment.
    lines += [f"% {name}: {printable(description)}" for name, description in descriptions(report)]
    lines += [f"% {printable(note)}" for note in report.notes]
    return "\n".join(lines) + "\n"


def as_csv(report: Report) -> str:
    """A line a row and experiment, numbers in percent; cells of ours are empty where runs are missing."""
    scores = [column for name in MEANS for column in (name, f"{name}_std")]
    header = ["dataset", "input", "mode", "backbone", "weights", "experiment", "branch", "seeds", *scores]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, "delta_miou", *(f"paper_{column}" for column in scores), "settings"])
    for group in report.groups:
        for entry in group.entries:
            rows = [(*entry.names(), *_record(entry, ours)) for ours in entry.ours or (None,)]
            writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


FORMATS: Mapping[str, Callable[[Report], str]] = {
    "text": as_text,
    "csv": as_csv,
    "markdown": as_markdown,
    "latex": as_latex,
}


def latex(text: str) -> str:
    """Text with everything escaped that LaTeX would take for a command."""
    return "".join(_LATEX.get(letter, letter) for letter in printable(text))


_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "…": r"\ldots{}",
}


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _piped(cells: Sequence[str]) -> str:
    return "| " + " | ".join(markdown(cell.strip()) for cell in cells) + " |"


def _latex_row(cells: Sequence[str]) -> str:
    # A hyphen is no minus there.
    escaped = [re.sub(r"^[+-](?=\d)", r"$\g<0>$", latex(cell.strip())) for cell in cells]
    return " & ".join(escaped) + r" \\"


def _record(entry: Entry, ours: Ours | None) -> list[str]:
    """The columns of the CSV from `experiment` on."""
    paper = {} if entry.row is None else entry.row.scores
    references = [cell for name in MEANS for cell in _numbers(paper.get(name))]
    if ours is None:
        return ["", "", "", *[""] * 2 * len(MEANS), "", *references, ""]
    experiment = ours.experiment
    found = [cell for name in MEANS for cell in _numbers(ours.scores[name])]
    difference = "" if ours.difference is None else f"{ours.difference:.2f}"
    seeds = " ".join(map(str, experiment.seeds))
    return [experiment.name, ours.branch, seeds, *found, difference, *references, experiment.description()]


def _numbers(score: Score | None) -> tuple[str, str]:
    if score is None:
        return "", ""
    return f"{score.mean:.2f}", "" if score.std is None else f"{score.std:.2f}"
