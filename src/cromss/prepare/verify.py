"""Reads every value of a store and lists what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cromss.dataset.bands import BANDS
from cromss.dataset.checks import check_finite, check_labels
from cromss.dataset.shard_folder import MANIFEST, cell_of, read_manifest, read_plan
from cromss.dataset.statistics import Statistics
from cromss.dataset.store import Store, open_store


@dataclass
class Damages:
    """What `verify` found.

    Attributes:
        locations: Number of locations.
        values: Number of values read.
        messages: One for each damaged value, in order; `most` at most.
        total: Number of damaged values.
        missing: Number of locations that the manifest names as failed, or absent in the source.
        missing_messages: One for each of those, `most` at most.
        most: How many messages to keep.
    """

    most: int
    missing: int = 0
    missing_messages: list[str] = field(default_factory=list)
    locations: int = 0
    values: int = 0
    total: int = 0
    messages: list[str] = field(default_factory=list)

    def add(self, message: str) -> None:
        """Counts one and keeps its message while there is room."""
        self.total += 1
        if len(self.messages) < self.most:
            self.messages.append(message)

    def miss(self, message: str) -> None:
        """Counts a location that is not stored and keeps its message while there is room."""
        self.missing += 1
        if len(self.missing_messages) < self.most:
            self.missing_messages.append(message)

    def __str__(self) -> str:
        lines = _shortened(self.messages, self.total) + _shortened(self.missing_messages, self.missing)
        found = [f"{self.locations} locations", f"{self.values} values"]
        found += [f"{self.total} damaged"] if self.total else []
        found += [f"{self.missing} not stored"] if self.missing else []
        return "\n".join([*lines, ", ".join(found if lines else [*found, "ok"])])


def _shortened(messages: list[str], total: int) -> list[str]:
    return [*messages, f"… and {total - len(messages)} more"] if total > len(messages) else messages


def verify(path: str | Path, most: int) -> Damages:
    """Reads all values of all shards and checks whatever a reader relies on.

    Those are pages and checksums; band names, ids, labels and pixels that are possible; statistics that are those of
    the values; and the locations of the manifest, where there is one.

    Args:
        path: The store.
        most: How many messages to keep.

    Raises:
        ValueError: The store does not open at all.
    """
    store = open_store(path)
    damages = Damages(most, locations=len(store))
    _check_description(store, damages)
    stored = _check_manifest(Path(path), damages)
    ids: dict[str, None] = {}
    seen = _Seen(store)
    for index in tqdm(range(len(store)), desc=f"verifying {Path(path).name}", unit="location"):
        for read in _reads(store, index, ids, seen):
            damages.values += 1
            try:
                read()
            except ValueError as error:
                damages.add(str(error))
    if not damages.total:
        # Of a damaged store they cannot be those of its values.
        seen.check(damages)
    there = [cell_of(location_id) for location_id in ids]
    if stored is not None and stored != there:
        lost, added = set(stored) - set(there), set(there) - set(stored)
        names = ", ".join(sorted(lost | added)[:5]) or "their order"
        damages.add(f"{path}: the manifest and the store disagree in {len(lost) + len(added)} locations: {names}")
    return damages


def _check_manifest(path: Path, damages: Damages) -> list[str] | None:
    """The ids that a folder of shards says it holds, as cells, in order; None where there is no manifest."""
    plan = read_plan(path) if path.is_dir() else None
    if plan is None:
        return None
    try:
        entries = read_manifest(path)
    except (OSError, ValueError) as error:
        damages.add(f"{path / MANIFEST} cannot be read ({error}): the command that made the store writes it again")
        return None
    for entry in entries:
        if entry.status != "done":
            damages.miss(f"{entry.location_id} {entry.status}: {entry.reason}")
    return [entry.location_id for entry in entries if entry.status == "done"]


def _check_description(store: Store, damages: Damages) -> None:
    """What the description says beside that by which the store could be opened."""
    try:
        store.check_keys()
    except ValueError as error:
        damages.add(str(error))
    for modality, stored in store.info.modalities.items():
        known = [band.name for band in BANDS[modality]]
        if unknown := [name for name in stored.bands if name not in known]:
            damages.add(
                f"store {store.path}: {modality} has the bands {', '.join(unknown)}, and {', '.join(known)} are known"
            )


class _Seen:
    """Counts what is read, to hold the statistics that a store keeps against it.

    Args:
        store: The store.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        bands = {name: len(stored.bands) for name, stored in store.info.modalities.items()}
        self._statistics = Statistics(bands, len(store.info.classes))

    def labels(self, labels: np.ndarray) -> None:
        """Adds the labels of a location."""
        self._statistics.add({}, labels)

    def image(self, modality: str, image: np.ndarray) -> None:
        """Adds the image of a season, ``(K, H, W)``."""
        self._statistics.add_images({modality: image[None]})

    def check(self, damages: Damages) -> None:
        """Adds what the store keeps otherwise."""
        kept, found = self._store.info.statistics, self._statistics.as_dict()
        where = f"store {self._store.path}: its description keeps other"
        if kept["labels"]["pixels"] != found["labels"]["pixels"]:
            damages.add(f"{where} numbers of pixels by class than its labels have")
        for modality in self._store.info.modalities:
            for name in ("mean", "std"):
                scale = max(1.0, float(np.abs(found[modality]["mean"]).max()))
                if not np.allclose(kept[modality][name], found[modality][name], 1e-4, 1e-4 * scale):
                    damages.add(f"{where} values of {name} than the pixels of {modality} have")


def _reads(store: Store, index: int, ids: dict[str, None], seen: _Seen) -> Iterator[Callable[[], Any]]:
    """One function for each value of a location, which raises ValueError where the value is damaged."""
    yield partial(_check_id, store, index, ids)
    yield partial(_check_labels, store, index, "labels", seen)
    if store.info.has_truth:
        yield partial(_check_labels, store, index, "truth", None)
    for modality in store.info.modalities:
        for season in range(store.info.seasons):
            yield partial(_check_images, store, index, season, modality, seen)


def _check_id(store: Store, index: int, ids: dict[str, None]) -> None:
    location_id = store.location_id(index)
    if location_id in ids:
        raise ValueError(f"store {store.path}, location {index}: its id {location_id!r} is there twice")
    ids[location_id] = None


def _check_labels(store: Store, index: int, name: str, seen: _Seen | None) -> None:
    labels = store.read_labels(index) if name == "labels" else store.read_truth(index)
    check_labels(f"store {store.path}, location {index}, {name}", labels, len(store.info.classes))
    if seen is not None:
        seen.labels(labels)


def _check_images(store: Store, index: int, season: int, modality: str, seen: _Seen) -> None:
    image = store.read_images(index, season, modality)
    check_finite(
        f"store {store.path}, location {index}, {modality}", image[None], store.info.modalities[modality].bands
    )
    seen.image(modality, image)
