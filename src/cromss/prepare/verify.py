"""Reads every value of a store and lists what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from cromss.dataset.checks import check_labels
from cromss.dataset.store import Store, open_store


@dataclass
class Damages:
    """What `verify` found.

    Attributes:
        locations: Number of locations.
        values: Number of values read.
        messages: One for each damaged value, in order; `most` at most.
        total: Number of damaged values.
        most: How many messages to keep.
    """

    most: int
    locations: int = 0
    values: int = 0
    total: int = 0
    messages: list[str] = field(default_factory=list)

    def add(self, message: str) -> None:
        """Counts one and keeps its message while there is room."""
        self.total += 1
        if len(self.messages) < self.most:
            self.messages.append(message)

    def __str__(self) -> str:
        if not self.total:
            return f"{self.locations} locations, {self.values} values, ok"
        more = f"\n… and {self.total - len(self.messages)} more" if self.total > len(self.messages) else ""
        listed = "\n".join(self.messages)
        return f"{listed}{more}\n{self.locations} locations, {self.values} values, {self.total} damaged"


def verify(path: str | Path, most: int) -> Damages:
    """Reads all values of all shards: checksums, sizes, label values, ids.

    Args:
        path: The store.
        most: How many messages to keep.

    Raises:
        ValueError: The store does not open at all.
    """
    store = open_store(path)
    damages = Damages(most, locations=len(store))
    ids: set[str] = set()
    for index in tqdm(range(len(store)), desc=f"verifying {Path(path).name}", unit="location"):
        for read in _reads(store, index, ids):
            damages.values += 1
            try:
                read()
            except ValueError as error:
                damages.add(str(error))
    return damages


def _reads(store: Store, index: int, ids: set[str]) -> Iterator[Callable[[], Any]]:
    """One function for each value of a location, which raises ValueError where the value is damaged."""
    yield partial(_check_id, store, index, ids)
    yield partial(_check_labels, store, index, "labels")
    if store.info.has_truth:
        yield partial(_check_labels, store, index, "truth")
    for modality in store.info.modalities:
        for season in range(store.info.seasons):
            yield partial(store.read_images, index, season, modality)


def _check_id(store: Store, index: int, ids: set[str]) -> None:
    location_id = store.location_id(index)
    if location_id in ids:
        raise ValueError(f"store {store.path}, location {index}: its id {location_id!r} is there twice")
    ids.add(location_id)


def _check_labels(store: Store, index: int, name: str) -> None:
    labels = store.read_labels(index) if name == "labels" else store.read_truth(index)
    check_labels(f"store {store.path}, location {index}, {name}", labels, len(store.info.classes))
