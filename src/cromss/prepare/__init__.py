"""Makes stores: ``python -m cromss.prepare source=… path=… out=…`` converts, ``action=verify`` checks.

A source is a function that turns a path and the options under its name in ``conf/prepare.yaml`` into a
`LocationReader`; `prepare` does the rest, the same for all. One that needs code of its own gets a file here.
"""

from collections.abc import Callable, Mapping

from cromss.dataset.folder import FolderReader
from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import open_reference
from cromss.prepare.shards import prepare
from cromss.prepare.ssl4eo_s12 import open_ssl4eo_s12
from cromss.prepare.tiles import open_dfc2020, open_dw, open_osm
from cromss.prepare.verify import Damages, verify

SOURCES: Mapping[str, Callable[..., LocationReader]] = {
    "ssl4eo_s12": open_ssl4eo_s12,
    "dw": open_dw,
    "osm": open_osm,
    "dfc2020": open_dfc2020,
    "reference": open_reference,
    "folder": FolderReader,
}
"""Value of ``source=`` -> function of ``path`` and the options of that name."""

__all__ = ["SOURCES", "Damages", "prepare", "verify"]
