"""What stores are made of: each kind of raw data has a function that opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cromss.dataset.folder import FolderReader
from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import open_reference
from cromss.prepare.ssl4eo_s12 import open_ssl4eo_s12
from cromss.prepare.tiles import open_dfc2020, open_dw, open_osm

SOURCES: Mapping[str, Callable[..., LocationReader]] = {
    "ssl4eo_s12": open_ssl4eo_s12,
    "dw": open_dw,
    "osm": open_osm,
    "dfc2020": open_dfc2020,
    "reference": open_reference,
    "folder": FolderReader,
}
"""Value of ``source=`` -> function of ``path`` and the options of that name."""
