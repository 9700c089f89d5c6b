"""The pictures of a measured dataset."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from cromss.dataset.bands import BANDS, RGB, scale
from cromss.dataset.classes import CLASSES
from cromss.dataset.reader import LocationReader
from cromss.plotting import Panel, class_labels, draw_panels, fonts_for, image_panels
from cromss.prepare.measured import EXAMPLES, Measured
from cromss.types import IGNORE_INDEX

_SIDE = 1.2
"""Inches a patch."""

_SHOWN: Mapping[str, Sequence[str]] = {"s2": RGB, "s1": ("VV", "VH")}
"""Modality -> the bands of a picture; the first modality that has them is shown."""


def class_colours(classes: Sequence[str]) -> list[str]:
    """The colours of the label set that has these classes; of unknown ones grey by grey."""
    for table in CLASSES.values():
        if list(table) == list(classes):
            return list(table.values())
    known = {name: colour for table in CLASSES.values() for name, colour in table.items()}
    greys = np.linspace(70, 220, len(classes)).astype(int)
    return [known.get(name, f"#{grey:02x}{grey:02x}{grey:02x}") for name, grey in zip(classes, greys, strict=True)]


def draw_shares(found: Measured, colours: Sequence[str]) -> Figure:
    """One bar a class: its share of the labelled pixels in percent."""
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
    """One row a class: patches with their labels beside them.

    Args:
        reader: Where they are read from.
        examples: Class and its ``(location, season)`` pairs, at least one.
        colours: A colour a class.
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


def draw_map(places: Sequence[Sequence[float]]) -> Figure:
    """Where locations lie, on a plain frame of longitude and latitude.

    Args:
        places: ``(lon, lat, locations)`` in degrees, at least one.
    """
    figure = Figure(figsize=(9, 4.9), layout="constrained")
    axis = figure.subplots()
    lon, lat, number = np.array(places).T
    axis.scatter(lon, lat, s=16 + 6 * np.log2(number), color="#c4281b", linewidths=0, alpha=0.7)
    axis.set(xlim=(-180, 180), ylim=(-90, 90), aspect="equal", xlabel="longitude, degrees", ylabel="latitude, degrees")
    axis.set_xticks(range(-180, 181, 30))
    axis.set_yticks(range(-90, 91, 30))
    axis.grid(color="#ccc", linewidth=0.6)
    axis.set_axisbelow(True)
    axis.set_title(f"{int(number.sum()):,} locations in {len(places):,} cells of one degree", fontsize=10)
    return figure
