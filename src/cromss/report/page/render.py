"""The page as one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import gzip
import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from cromss.report.page.content import Content

_SCRIPTS = ("format.js", "table.js", "figures.js", "patches.js", "main.js")


def render(content: Content) -> str:
    """Draws the page.

    Plotly and the learning curves are compressed in it, and unpacked when a figure comes into sight.

    Args:
        content: What it shows.

    Returns:
        HTML without outside resources.
    """
    assets = files("cromss.report.page").joinpath("assets")
    environment = Environment(
        loader=PackageLoader("cromss.report.page", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [assets.joinpath(name).read_text(encoding="utf-8") for name in _SCRIPTS]
    return environment.get_template("page.html.j2").render(
        content=content,
        runs=len(content.table.runs),
        css=Markup(assets.joinpath("page.css").read_text(encoding="utf-8")),
        script=Markup("\n".join(scripts)),
        data=_json(content.payload()),
        curves={name: _packed(json.dumps(found, allow_nan=False)) for name, found in content.curves().items()},
        plotly=_packed(get_plotlyjs()),
    )


def _json(value: Any) -> Markup:
    """JSON that cannot end the element it stands in."""
    return Markup(json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"))


def _packed(text: str) -> str:
    """Compressed, in letters; the same text gives the same letters."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()
