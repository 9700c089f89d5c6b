"""Makes stores: ``python -m cromss.prepare source=… path=… out=…`` converts, ``action=verify`` checks.

A source is a function that turns a path and the options under its name in ``conf/prepare.yaml`` into a
`LocationReader`; `convert` does the rest, the same for all. One that needs code of its own gets a file here.
"""

from collections.abc import Callable, Mapping

from cromss.dataset.convert import convert
from cromss.dataset.folder import FolderReader
from cromss.dataset.reader import LocationReader
from cromss.dataset.reference import open_reference
from cromss.prepare.verify import Damages, verify

SOURCES: Mapping[str, Callable[..., LocationReader]] = {
    "folder": FolderReader,
    "reference": open_reference,
}
"""Value of ``source=`` -> function of ``path`` and the options of that name."""

__all__ = ["SOURCES", "Damages", "convert", "verify"]
