"""A listing of runs as text, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from cromss.io.cells import csv_cell, markdown
from cromss.io.plain import printable
from cromss.report.listing import Line, Listing
from cromss.report.notes import count
from cromss.report.table import Mean
from cromss.runs.results import MEANS

WIDTH = 120
"""Width of text tables, in characters."""

HEADER = ("backbone", "weights", "", "OA", "AA", "mIoU", "mF1", "Δ mIoU", "runs")

_LABELS = 3
"""Cells of a row before its scores."""

_LONGEST_LABEL = 18

Row = tuple[str, ...]
"""A cell for each of `HEADER`."""


def as_text(listing: Listing) -> str:
    """Aligned columns for a terminal, within `WIDTH`."""
    groups = [(title, list(_rows(lines))) for title, lines in listing.groups]
    everything = [HEADER, *(row for _, rows in groups for row in rows)]
    widths = [max(map(len, column)) for column in zip(*everything, strict=True)]
    indent = sum(widths[:_LABELS]) + 2 * _LABELS
    heads = _line(HEADER[_LABELS:], widths[_LABELS:])
    text = [listing.title, ""]
    for title, rows in groups:
        text += [f"{title:{indent}}{heads}"] if len(title) < indent else [title, " " * indent + heads]
        text += [*(_line(row, widths) for row in rows), ""]
    for one in listing.experiments:
        text += textwrap.wrap(f"{one.name:4} {one.description()}", WIDTH, subsequent_indent=" " * 5)
    text += [""] * bool(listing.experiments)
    for note in listing.notes:
        text += textwrap.wrap(note, WIDTH)
    return "\n".join(text) + "\n"


def as_markdown(listing: Listing) -> str:
    """One Markdown table per group."""
    text = [f"## {markdown(listing.title)}", ""]
    for title, lines in listing.groups:
        cells = [[markdown(cell.strip()) for cell in row] for row in (HEADER, *_rows(lines))]
        text += [f"### {markdown(title)}", "", *markdown_table(cells, "lllrrrrrl"), ""]
    text += [f"- {one.name}: {markdown(one.description())}" for one in listing.experiments]
    text += [f"- {markdown(note)}" for note in listing.notes]
    return "\n".join(text) + "\n"


def as_latex(listing: Listing) -> str:
    """A `tabular` of the package booktabs; settings and notes are comments."""
    text = [f"% {listing.title}", r"% needs \usepackage{booktabs}", r"\begin{tabular}{lllrrrrrl}", r"\toprule"]
    text.append(_latex_row(HEADER))
    for title, lines in listing.groups:
        heading = rf"\multicolumn{{{len(HEADER)}}}{{l}}{{\textit{{{latex(title)}}}}} \\"
        text += [r"\midrule", heading, *(_latex_row(row) for row in _rows(lines))]
    text += [r"\bottomrule", r"\end{tabular}"]
    # A line break would end the comment.
    text += [f"% {one.name}: {printable(one.description())}" for one in listing.experiments]
    text += [f"% {printable(note)}" for note in listing.notes]
    return "\n".join(text) + "\n"


def as_csv(listing: Listing) -> str:
    """One line per row of the paper, experiment and branch; numbers in percent, empty where runs are missing."""
    scores = [column for name in MEANS for column in (name, f"{name}_std")]
    header = ["dataset", "input", "mode", "backbone", "weights", "experiment", "scores", "branch", "seeds", *scores]
    header += ["delta_miou", *(f"paper_{column}" for column in scores), "settings"]
    return csv_table(header, [[*line.names, *_record(line)] for _, lines in listing.groups for line in lines])


FORMATS: Mapping[str, Callable[[Listing], str]] = {
    "text": as_text,
    "csv": as_csv,
    "markdown": as_markdown,
    "latex": as_latex,
}


def markdown_table(rows: Sequence[Sequence[str]], alignment: str) -> list[str]:
    """Lines of a table in Markdown; the first row is its heading, `alignment` has an ``l`` or ``r`` per column."""
    marks = {"l": "---", "r": "---:"}
    first, *others = rows
    return [f"| {' | '.join(row)} |" for row in (first, [marks[one] for one in alignment], *others)]


def csv_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, in which no text becomes a formula, and numbers have six digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    for row in (header, *rows):
        writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else csv_cell(cell) for cell in row])
    return text.getvalue()


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


def _rows(lines: Sequence[Line]) -> Iterator[Row]:
    """The rows below a title: the paper's numbers, where there are any, above ours."""
    for _, members in groupby(lines, key=lambda line: id(line.row or line.experiment)):
        first, *others = members
        labels = tuple(_shortened(name) for name in first.names[-2:])
        if first.row is not None:
            yield (*labels, "paper", *(_score(first.row.scores[name]) for name in MEANS), "", "")
            labels = ("", "")
        for line in (first, *others):
            yield (*labels, "ours" if line.row else line.branch, *_numbers(line))
            labels = ("", "")


def _numbers(line: Line) -> Row:
    one, nothing = line.experiment, [""] * len(MEANS)
    if one is None:
        return ("missing", *nothing, "")
    runs = ", ".join([count(len(one.reported_seeds), "seed"), one.name, *([] if one.is_done else one.states)])
    if line.scores is None:
        return ("no score", *nothing, runs)
    difference = "" if line.difference is None else f"{line.difference:+.2f}"
    return (*(_score(line.scores[name]) for name in MEANS), difference, runs)


def _score(score: Mean | None) -> str:
    if score is None:
        return "undefined"
    return f"{100 * score.mean:5.2f}" + ("" if score.std is None else f" ± {100 * score.std:.2f}")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _latex_row(cells: Sequence[str]) -> str:
    # In LaTeX, a minus needs math mode.
    escaped = [re.sub(r"^[+-](?=\d)", r"$\g<0>$", latex(cell.strip())) for cell in cells]
    return " & ".join(escaped) + r" \\"


def _record(line: Line) -> list[str]:
    """The columns of the CSV from `experiment` on."""
    one, ours, paper = line.experiment, line.scores or {}, line.row.scores if line.row else {}
    return [
        one.name if one else "",
        ("test" if one.is_tested else "validation") if one and ours else "",
        line.branch,
        " ".join(map(str, one.reported_seeds)) if one else "",
        *(cell for name in MEANS for cell in _percents(ours.get(name))),
        "" if line.difference is None else f"{line.difference:.2f}",
        *(cell for name in MEANS for cell in _percents(paper.get(name))),
        one.description() if one else "",
    ]


def _percents(score: Mean | None) -> tuple[str, str]:
    if score is None:
        return "", ""
    return f"{100 * score.mean:.2f}", "" if score.std is None else f"{100 * score.std:.2f}"
