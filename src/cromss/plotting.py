"""Drawing that several rooms share: pictures of patches, confusion matrices, and text in any script."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch

from cromss.io.atomic import write_file
from cromss.types import IGNORE_INDEX

UNLABELLED = "#000000"
"""Colour of pixels without a label."""

_WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "PingFang SC",
    "Arial Unicode MS",
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Emoji",
    "Symbola",
)
"""Fonts that many systems have for letters that are missing from the default font."""


@dataclass(frozen=True)
class Panel:
    """One column of a picture of patches.

    Attributes:
        title: Heading.
        kind: ``"image"`` (B, H, W, 3) in [0, 1], ``"classes"`` (B, H, W) or ``"weight"`` (B, H, W) in [0, 1].
        values: The pixels of all patches.
    """

    title: str
    kind: str
    values: np.ndarray


def image_panels(images: Mapping[str, np.ndarray], rgb: Sequence[int]) -> list[Panel]:
    """What the sensors saw, in colours.

    Args:
        images: Modality -> ``(B, K, H, W)`` in [0, 1]; S1 holds VV and VH.
        rgb: Positions of red, green and blue among the bands of S2.
    """
    panels = []
    if "s2" in images:
        panels.append(Panel("Sentinel-2", "image", stretch(images["s2"][:, list(rgb)])))
    if "s1" in images:
        vv, vh = images["s1"].swapaxes(0, 1)
        panels.append(Panel("Sentinel-1", "image", stretch(np.stack([vv, vh, (1 + vv - vh) / 2], axis=1))))
    return panels


def stretch(images: np.ndarray) -> np.ndarray:
    """Raises the contrast of images in [0, 1]: the 2nd percentile becomes 0, the 98th becomes 1.

    Each channel by itself: seen through the atmosphere, blue is bright everywhere.

    Args:
        images: ``(B, 3, H, W)``.

    Returns:
        ``(B, H, W, 3)`` in [0, 1].
    """
    low, high = np.percentile(images, (2, 98), axis=(2, 3), keepdims=True)
    # At least a tenth of the range, so that what is nearly flat stays flat: snow white, water black.
    missing = np.maximum(0.1 - (high - low), 0)
    low, high = low - missing * low, high + missing * (1 - high)
    return np.moveaxis(np.clip((images - low) / (high - low), 0, 1), 1, -1)


def draw_panels(panels: Sequence[Panel], classes: Sequence[str], colours: Sequence[str], side: float) -> Figure:
    """Draws one row per patch and one column per panel, with a legend of the classes that occur.

    Args:
        panels: Columns, all with the same number of patches.
        classes: Class names.
        colours: One colour per class.
        side: Inches per patch.
    """
    rows = len(panels[0].values)
    figure = Figure(figsize=(side * len(panels) + 0.3, side * rows + 0.9), layout="compressed")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(panels), squeeze=False)
    palette = ListedColormap([*colours[: len(classes)], UNLABELLED])
    for column, panel in enumerate(panels):
        axes[0, column].set_title(panel.title, fontsize=9)
        for row in range(rows):
            axis = axes[row, column]
            axis.set_axis_off()
            values = panel.values[row]
            if panel.kind == "classes":
                shown = np.where(values == IGNORE_INDEX, len(classes), values)
                axis.imshow(shown, cmap=palette, vmin=-0.5, vmax=len(classes) + 0.5, interpolation="nearest")
            elif panel.kind == "weight":
                mappable = axis.imshow(values, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
            else:
                axis.imshow(values, interpolation="nearest")
    if any(panel.kind == "weight" for panel in panels):
        figure.colorbar(mappable, ax=axes, shrink=0.6, label="selection weight", pad=0.01)
    _add_legend(figure, [panel.values for panel in panels if panel.kind == "classes"], classes, colours)
    return figure


def _add_legend(figure: Figure, maps: Sequence[np.ndarray], classes: Sequence[str], colours: Sequence[str]) -> None:
    labels = class_labels(classes)
    present = sorted({int(value) for values in maps for value in np.unique(values)})
    handles = [Patch(color=colours[c], label=labels[c]) for c in present if c < len(classes)]
    handles += [Patch(color=UNLABELLED, label="unlabelled")] * (IGNORE_INDEX in present)
    if handles:
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(5, len(handles)),
            prop=FontProperties(family=fonts_for(labels), size=8),
            frameon=False,
        )


def draw_confusion(scores: Mapping[str, Any]) -> Figure:
    """Draws one confusion matrix per branch: of the pixels of each label, the share that each class got.

    Args:
        scores: Branch -> `cromss.trainer.results.scores_of`.

    Returns:
        A figure. Rows of classes that are in no label are left blank.
    """
    size = max(4.5, 0.55 * len(next(iter(scores.values()))["classes"]) + 2.2)
    figure = Figure(figsize=(size * len(scores) + 0.6, size), layout="constrained")
    FigureCanvasAgg(figure)
    for axis, (branch, values) in zip(figure.subplots(1, len(scores), squeeze=False)[0], scores.items(), strict=True):
        classes = list(values["classes"])
        counts = np.asarray(values["confusion"], dtype=float)
        with np.errstate(invalid="ignore"):
            shares = counts / counts.sum(axis=1, keepdims=True)
        mappable = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for label, prediction in np.argwhere(shares >= 0.005):
            share = shares[label, prediction]
            colour = "white" if share > 0.55 else "black"
            axis.text(prediction, label, f"{share:.0%}", ha="center", va="center", fontsize=7, color=colour)
        axis.set_title(f"{branch}: OA {_percent(values['oa'])}, mIoU {_percent(values['miou'])}", fontsize=10)
        labels = class_labels(classes)
        look: dict[str, Any] = {"fontsize": 8, "fontfamily": fonts_for(labels)}
        axis.set_xticks(range(len(classes)), labels, rotation=45, ha="right", **look)
        axis.set_yticks(range(len(classes)), labels, **look)
        axis.set_xlabel("prediction")
        axis.set_ylabel("label")
    figure.colorbar(mappable, ax=figure.axes, shrink=0.7, label="share of the label's pixels")
    return figure


def save_figure(figure: Figure, target: Path) -> None:
    """Writes a figure as PNG; it appears when it is complete. OSError where it cannot be written."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_file(target, content.getbuffer())


def class_labels(names: Sequence[str], longest: int = 24) -> list[str]:
    """Class names as figures show them.

    Args:
        names: Class names.
        longest: Characters of a label; longer names are cut.

    Returns:
        One label per class: on one line, with formulas switched off. A name that no installed font can draw becomes
        ``"class 3"``, its number.
    """
    return [_label(number, name, longest) for number, name in enumerate(names)]


def fonts_for(texts: Sequence[str]) -> list[str]:
    """Families for the `family` or `fontfamily` of a text: the default, then those that some of `texts` needs."""
    default, *others = _fonts()
    letters = {ord(letter) for text in texts for letter in text}
    chosen, missing = [default], letters - _letters(default)
    for font in others:
        if missing & _letters(font):
            chosen.append(font)
            missing -= _letters(font)
    return chosen


def _label(number: int, name: str, longest: int) -> str:
    line = " ".join(name.split())
    line = line if len(line) <= longest else f"{line[: longest - 2]}…"
    if any(all(ord(letter) not in _letters(font) for font in _fonts()) for letter in line):
        return f"class {number}"
    # Legends leave out labels that begin with an underscore.
    return ("\u200b" if line.startswith("_") else "") + line.replace("$", r"\$")


@cache
def _fonts() -> tuple[str, ...]:
    """The default family, then the installed ones of `_WIDE_FONTS`."""
    there = {entry.name for entry in font_manager.fontManager.ttflist}
    return "DejaVu Sans", *(font for font in _WIDE_FONTS if font in there)


@cache
def _letters(font: str) -> frozenset[int]:
    path = font_manager.findfont(font_manager.FontProperties(family=font))
    return frozenset(font_manager.get_font(path).get_charmap())


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
