"""Downloads raw data: Sentinel images and OSM labels of tiles, and archives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cromss.prepare.download.manifest import Report
from cromss.prepare.download.retry import Network
from cromss.prepare.download.sources import download_archives, download_dw, download_osm

__all__ = ["DOWNLOADS", "Report", "download"]

DOWNLOADS: Mapping[str, Callable[..., Report]] = {
    "dw": download_dw,
    "osm": download_osm,
    "ssl4eo_s12": download_archives,
}
"""Source -> what fetches it; ``(out, network, **options)``."""


def download(source: str, out: Path, options: Mapping[str, Any]) -> Report:
    """Downloads a source into a folder, and goes on where an earlier run ended.

    Args:
        source: A key of `DOWNLOADS`.
        out: Folder; files appear in it when they are complete, and ``download.csv`` says what became of each.
        options: ``network``, see `Network`, and for each source the keywords of its function in `DOWNLOADS`.

    Returns:
        What was done. It lists failures, which do not end the run; `Report.check` raises them.

    Raises:
        ValueError: An option is not allowed, or nothing can be done at all.
        OSError: A service cannot be reached at the start, or `out` cannot be written.
    """
    if source not in DOWNLOADS:
        raise ValueError(f"source={source} cannot be downloaded: choose one of {', '.join(DOWNLOADS)}")
    return DOWNLOADS[source](out, Network(**options["network"]), **options[source])
