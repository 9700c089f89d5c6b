"""Runs beside each other as one HTML page: `cromss report runs=FOLDER out=report/`."""

from __future__ import annotations

from pathlib import Path

from cromss.io.extras import extra
from cromss.report import output
from cromss.report.table import RunTable


def page_files(table: RunTable, out: Path) -> dict[str, bytes]:
    """The files in the folder of a page.

    Raises:
        ValueError: There is no run, or a package that only pages need is missing.
    """
    if not table.runs:
        folders, why = ", ".join(map(str, table.folders)), "; ".join(table.problems)
        raise ValueError(
            f"no runs below {folders} that could be read: name the folder that `cromss train` wrote to, such as "
            "runs=outputs" + (f" (left out: {why})" if why else "")
        )
    with extra("report", f"out={out}"):
        from cromss.report.page.render import render
    from cromss.report.page.exports import runs_csv, table_csv, table_markdown
    from cromss.report.page.figures import effects_of
    from cromss.report.page.summary_figure import summary_png

    effects = effects_of(table.experiments, table.settings)
    return {
        output.PAGE: render(table, effects).encode(),
        output.TABLE: table_csv(table).encode(),
        output.RUNS: runs_csv(table).encode(),
        output.MARKDOWN: table_markdown(table).encode(),
        output.PICTURE: summary_png(table, effects),
    }
