"""Text in figures: any text is drawn with the fonts that are there, and is never taken for a formula."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from matplotlib import font_manager

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
"""Fonts that many systems have for what the default font lacks."""


def class_labels(names: Sequence[str], longest: int = 24) -> list[str]:
    """Class names as figures show them.

    Args:
        names: Class names.
        longest: Characters of a label; longer names are cut.

    Returns:
        One label for each class: on one line, with formulas switched off. A name that no installed font can draw
        becomes ``"class 3"``, its number.
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
