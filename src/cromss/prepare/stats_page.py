"""A measured dataset as one HTML file with tables and embedded pictures."""

from __future__ import annotations

import base64
import io
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cromss.dataset.bands import BANDS, RGB
from cromss.dataset.classes import CLASSES
from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import open_dataset
from cromss.dataset.scaling import scale
from cromss.io.atomic import write_file
from cromss.plotting import Panel, class_labels, draw_panels, fonts_for, image_panels
from cromss.prepare.stats import EXAMPLES, Measured, Table, measure
from cromss.types import IGNORE_INDEX

_SIDE = 1.2
"""Inches per patch."""

_SHOWN: Mapping[str, Sequence[str]] = {"s2": RGB, "s1": ("VV", "VH")}
"""Modality -> the bands of a picture; the first modality that has them is shown."""

_STYLE = """body{font:15px/1.5 sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%}div{overflow-x:auto}table{border-collapse:collapse;font-size:13px}
td,th{padding:2px 9px;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
td:first-child,th:first-child{text-align:left}th{font-weight:600}"""


def stats(path: Path, kind: str, out: Path) -> str:
    """Measures a dataset and writes ``stats.json`` and ``index.html``, a page without external resources.

    Args:
        path: See `cromss.prepare.stats.measure`.
        kind: See `cromss.prepare.stats.measure`.
        out: Folder; files of these names in it are replaced.

    Returns:
        A table for the terminal.

    Raises:
        ValueError: `path` cannot be read, or `out` is a file.
        OSError: `out` cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"out={out} is a file: give a folder, new or not, for stats.json and index.html")
    found = measure(path, kind)
    html = page(found, open_dataset(path, kind))
    out.mkdir(parents=True, exist_ok=True)
    write_file(out / "stats.json", json.dumps(asdict(found), indent=1).encode())
    write_file(out / "index.html", html.encode())
    return f"{found}\n\n{out / 'index.html'}"


def page(found: Measured, reader: LocationReader) -> str:
    """Draws the page.

    Args:
        found: What was measured.
        reader: The same dataset, to read the sample patches from.

    Returns:
        HTML without external resources.
    """
    colours = class_colours(found.classes)
    examples = [(number, pairs) for number, pairs in enumerate(found.examples) if pairs]
    mosaic = _image(draw_mosaic(reader, examples, colours)) if examples else "<p>No pixel has a label.</p>"
    cells = _image(draw_map(found.cells)) if found.cells else "<p>Coordinates are not known.</p>"
    sections = {
        "Classes": _image(draw_shares(found, colours)) + _table(found.class_table()),
        "Where each class has most pixels": "<p>Images as a network sees them, clipped to mean +- 2 std of the "
        "published statistics; labels in the colours of the bars, black where there is none.</p>" + mosaic,
        "Bands": "<p>Mean, standard deviation (std), least and greatest value in stored units; raw units are dB (S1) "
        "and reflectance x 10000 (S2); the published ones are those of SSL4EO-S12.</p>" + _table(found.band_table()),
        "Locations": cells,
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


def class_colours(classes: Sequence[str]) -> list[str]:
    """The colours of the known label set with these classes; shades of grey for others."""
    for table in CLASSES.values():
        if list(table) == list(classes):
            return list(table.values())
    known = {name: colour for table in CLASSES.values() for name, colour in table.items()}
    greys = np.linspace(70, 220, len(classes)).astype(int)
    return [known.get(name, f"#{grey:02x}{grey:02x}{grey:02x}") for name, grey in zip(classes, greys, strict=True)]


def draw_shares(found: Measured, colours: Sequence[str]) -> Figure:
    """One bar per class: its share of the labelled pixels in percent."""
    figure = Figure(figsize=(8, 0.35 * len(found.classes) + 0.7), layout="constrained")
    axis = figure.subplots()
    percent = [100 * share for share in found.labels["shares"]]
    bars = axis.barh(range(len(percent)), percent, color=colours, edgecolor="#555", linewidth=0.5)
    axis.bar_label(bars, [f"{share:.2f}" for share in percent], padding=3, fontsize=9)
    labels = class_labels(found.classes)
    axis.set_yticks(range(len(percent)), labels, fontfamily=fonts_for(labels))
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set_xlabel("% of the labelled pixels")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def draw_mosaic(
    reader: LocationReader, examples: Sequence[tuple[int, Sequence[tuple[int, int]]]], colours: Sequence[str]
) -> Figure:
    """One row per class: patches with their labels beside them.

    Args:
        reader: The dataset.
        examples: Class and its ``(location, season)`` pairs, at least one.
        colours: One colour per class.
    """
    info = reader.info
    blank_image, blank_labels = np.ones((*info.size, 3), np.float32), np.full(info.size, IGNORE_INDEX, np.uint8)
    panels = []
    for column in range(EXAMPLES):
        chosen = [pairs[column] if column < len(pairs) else None for _, pairs in examples]
        images = [blank_image if pair is None else picture(reader, *pair) for pair in chosen]
        maps = [blank_labels if pair is None else reader.read_labels(pair[0])[pair[1]] for pair in chosen]
        panels += [Panel("image", "image", np.stack(images)), Panel("labels", "classes", np.stack(maps))]
    figure = draw_panels(panels, info.classes, colours, _SIDE)
    figure.legends[0].remove()  # too wide for so few columns; the bars show the colours
    labels = class_labels(info.classes)
    rows = np.array(figure.axes).reshape(len(examples), len(panels))
    for (number, pairs), row in zip(examples, rows, strict=True):
        title = textwrap.fill(labels[number], 18)
        look = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 8, "fontfamily": fonts_for(labels)}
        row[0].text(-0.06, 0.5, title, transform=row[0].transAxes, **look)
        for axis in row[2 * len(pairs) :]:
            axis.set_visible(False)
    return figure


def picture(reader: LocationReader, index: int, season: int) -> np.ndarray:
    """One patch in colours, ``(H, W, 3)`` in [0, 1]; grey where no modality has the bands for it."""
    for modality, names in _SHOWN.items():
        stored = reader.info.modalities.get(modality)
        if stored is None or not set(names) <= set(stored.bands):
            continue
        image = reader.read_images(index, season, modality, [stored.bands.index(name) for name in names])
        known = [band.name for band in BANDS[modality]]
        positions = [known.index(name) for name in names]
        scaled = scale(np.nan_to_num(image[None]), modality, positions, stored.quantised, "quantise")
        return image_panels({modality: scaled}, range(len(names)))[0].values[0]
    return np.full((*reader.info.size, 3), 0.5, np.float32)


def draw_map(cells: Sequence[Sequence[float]]) -> Figure:
    """A map of the locations, with longitude and latitude as axes.

    Args:
        cells: ``(lon, lat, locations)`` in degrees, at least one.
    """
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axis = figure.subplots()
    lon, lat, number = np.array(cells).T
    axis.scatter(lon, lat, s=16 + 6 * np.log2(number), color="#c4281b", linewidths=0, alpha=0.7)
    axis.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal", xlabel="longitude, degrees", ylabel="latitude, degrees")
    axis.set_xticks(range(-180, 181, 30))
    axis.set_yticks(range(-90, 91, 30))
    axis.grid(color="#ccc", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_title(f"{int(number.sum()):,} locations in {len(cells):,} cells of one degree", fontsize=10)
    return figure
