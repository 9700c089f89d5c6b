"""From files to batches: readers of every format, bands and their scaling; the data module has a file of its own."""

from typing import TYPE_CHECKING

from cromss.io.lazy import names_of

if TYPE_CHECKING:
    from cromss.dataset.folder import FolderReader
    from cromss.dataset.reader import DatasetInfo, ExactLabels, LocationReader, ModalityInfo
    from cromss.dataset.reference import open_dataset, open_reference
    from cromss.dataset.scaling import quantise, reflectance, standardise
    from cromss.dataset.store import Store, StoreWriter, open_store

__all__ = [
    "DatasetInfo",
    "ExactLabels",
    "FolderReader",
    "LocationReader",
    "ModalityInfo",
    "Store",
    "StoreWriter",
    "open_dataset",
    "open_reference",
    "open_store",
    "quantise",
    "reflectance",
    "standardise",
]

__getattr__ = names_of(
    __name__,
    {
        "DatasetInfo": "reader",
        "ExactLabels": "reader",
        "FolderReader": "folder",
        "LocationReader": "reader",
        "ModalityInfo": "reader",
        "Store": "store",
        "StoreWriter": "store",
        "open_dataset": "reference",
        "open_reference": "reference",
        "open_store": "store",
        "quantise": "scaling",
        "reflectance": "scaling",
        "standardise": "scaling",
    },
)
