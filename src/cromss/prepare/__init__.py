"""Makes stores: ``python -m cromss.prepare source=… path=… out=…`` converts, ``action=verify`` checks.

A source is one file here, with one function that turns a path and the options under its name in ``conf/prepare.yaml``
into a `LocationReader`; `convert` does the rest, the same for all.
"""

from collections.abc import Callable, Mapping

from cromss.dataset.convert import convert
from cromss.dataset.reader import LocationReader
from cromss.prepare.folder import open_folder
from cromss.prepare.reference import open_published
from cromss.prepare.verify import Damages, verify

SOURCES: Mapping[str, Callable[..., LocationReader]] = {
    "folder": open_folder,
    "reference": open_published,
}
"""Value of ``source=`` -> function of ``path`` and the options of that name."""

__all__ = ["SOURCES", "Damages", "convert", "verify"]
