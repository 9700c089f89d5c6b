"""A measured dataset as one HTML file that needs nothing else: tables, and pictures inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cromss.dataset.reader import LocationReader
from cromss.prepare.measured import Measured, Table
from cromss.prepare.stats_figures import class_colours, draw_map, draw_mosaic, draw_shares

_STYLE = """body{font:15px/1.5 sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%}div{overflow-x:auto}table{border-collapse:collapse;font-size:13px}
td,th{padding:2px 9px;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}th{font-weight:600}"""


def page(found: Measured, reader: LocationReader) -> str:
    """Draws the page.

    Args:
        found: What was measured.
        reader: The same dataset, to read the sample patches from.

    Returns:
        HTML without outside resources.
    """
    colours = class_colours(found.classes)
    examples = [(number, pairs) for number, pairs in enumerate(found.examples) if pairs]
    mosaic = _image(draw_mosaic(reader, examples, colours)) if examples else "<p>No pixel has a label.</p>"
    places = _image(draw_map(found.places)) if found.places else "<p>Coordinates are not known.</p>"
    sections = {
        "Classes": _image(draw_shares(found, colours)) + _table(found.class_table()),
        "Where each class has most pixels": "<p>Images as a network sees them, clipped to mean +- 2 std of the "
        "published statistics; labels in the colours of the bars, black where there is none.</p>" + mosaic,
        "Bands": "<p>Mean, standard deviation (std), least and greatest value in stored units; raw units are dB (S1) "
        "and reflectance x 10000 (S2); the published ones are those of SSL4EO-S12.</p>" + _table(found.band_table()),
        "Locations": places,
    }
    title = escape(found.path)
    body = "".join(f"<h2>{heading}</h2>{content}" for heading, content in sections.items())
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"</head><body><h1>{title}</h1><p>{escape(found.summary())}.</p>{body}</body></html>\n"
    )


def _image(figure: Figure) -> str:
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=100)
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}">'


def _table(table: Table) -> str:
    heading, *rows = table
    lines = [_row("th", heading), *(_row("td", row) for row in rows)]
    return f"<div><table>{''.join(lines)}</table></div>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
