"""Reads every value of a store and lists all damage."""

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
from cromss.io.plain import Messages


@dataclass
class Damages:
    """What `verify` found.

    Attributes:
        locations: Number of locations.
        values: Number of values read.
        damaged: One message for each damaged value, in order.
        missing: One for each location that the manifest names as failed, or absent in the source.
    """

    locations: int
    damaged: Messages
    missing: Messages
    values: int = 0

    def __str__(self) -> str:
        lines = self.damaged.lines() + self.missing.lines()
        found = [f"{self.locations} locations", f"{self.values} values"]
        found += [f"{self.damaged.total} damaged"] if self.damaged.total else []
        found += [f"{self.missing.total} not stored"] if self.missing.total else []
        return "\n".join([*lines, ", ".join(found if lines else [*found, "ok"])])


def verify(path: str | Path, most: int) -> Damages:
    """Reads all values of all shards and checks everything that a reader relies on.

    It checks pages and checksums; that band names, ids, labels and pixels are valid; that statistics fit the values;
    and the locations of the manifest, if any.

    Args:
        path: The store.
        most: How many messages of each kind to keep.

    Raises:
        ValueError: The store does not open at all.
    """
    store = open_store(path)
    found = Damages(len(store), Messages(most), Messages(most))
    _check_description(store, found)
    stored = _check_manifest(Path(path), found)
    seen = _StoreCheck(store)
    for index in tqdm(range(len(store)), desc=f"verifying {Path(path).name}", unit="location"):
        for check in seen.checks(index):
            found.values += 1
            try:
                check()
            except ValueError as error:
                found.damaged.add(str(error))
    if not found.damaged.total:
        # The statistics of a damaged store cannot fit its values.
        seen.compare(found)
    there = [cell_of(location_id) for location_id in seen.ids]
    if stored is not None and stored != there:
        lost, added = set(stored) - set(there), set(there) - set(stored)
        names = ", ".join(sorted(lost | added)[:5]) or "their order"
        found.damaged.add(f"{path}: the manifest and the store disagree in {len(lost) + len(added)} locations: {names}")
    return found


def _check_manifest(path: Path, found: Damages) -> list[str] | None:
    """The ids in the manifest of a folder of shards, as CSV cells, in order; None without a manifest."""
    if not (path.is_dir() and read_plan(path)):
        return None
    try:
        entries = read_manifest(path)
    except (OSError, ValueError) as error:
        found.damaged.add(
            f"{path / MANIFEST} cannot be read ({error}): the command that made the store writes it again"
        )
        return None
    for entry in entries:
        if entry.status != "done":
            found.missing.add(f"{entry.location_id} {entry.status}: {entry.reason}")
    return [entry.location_id for entry in entries if entry.status == "done"]


def _check_description(store: Store, found: Damages) -> None:
    """Checks the parts of the description that are not needed to open the store."""
    try:
        store.check_keys()
    except ValueError as error:
        found.damaged.add(str(error))
    for modality, stored in store.info.modalities.items():
        known = [band.name for band in BANDS[modality]]
        if unknown := [name for name in stored.bands if name not in known]:
            found.damaged.add(
                f"store {store.path}: {modality} has the bands {', '.join(unknown)}, and {', '.join(known)} are known"
            )


@dataclass
class _StoreCheck:
    """Reads a store and computes its statistics, to compare them with the stored ones.

    Attributes:
        store: The store.
        ids: The ids of the locations read so far.
    """

    store: Store
    ids: dict[str, None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        info = self.store.info
        bands = {name: len(stored.bands) for name, stored in info.modalities.items()}
        self._statistics = Statistics(bands, len(info.classes))

    def checks(self, index: int) -> Iterator[Callable[[], Any]]:
        """One function per value of a location, which raises ValueError where the value is damaged."""
        info = self.store.info
        yield partial(self._id, index)
        yield partial(self._labels, index)
        if info.has_truth:
            yield partial(self._truth, index)
        for modality in info.modalities:
            for season in range(info.seasons):
                yield partial(self._image, index, season, modality)

    def _id(self, index: int) -> None:
        location_id = self.store.location_id(index)
        if location_id in self.ids:
            raise ValueError(f"store {self.store.path}, location {index}: its id {location_id!r} is there twice")
        self.ids[location_id] = None

    def _labels(self, index: int) -> None:
        labels = self.store.read_labels(index)
        check_labels(f"store {self.store.path}, location {index}, labels", labels, len(self.store.info.classes))
        self._statistics.add({}, labels)

    def _truth(self, index: int) -> None:
        truth = self.store.read_truth(index)
        check_labels(f"store {self.store.path}, location {index}, truth", truth, len(self.store.info.classes))

    def _image(self, index: int, season: int, modality: str) -> None:
        image = self.store.read_images(index, season, modality)[None]
        bands = self.store.info.modalities[modality].bands
        check_finite(f"store {self.store.path}, location {index}, {modality}", image, bands)
        self._statistics.add({modality: image})

    def compare(self, found: Damages) -> None:
        """Adds the differences between the computed and the stored statistics."""
        kept, counted = self.store.info.statistics, self._statistics.as_dict()
        where = f"store {self.store.path}: its description keeps other"
        if kept["labels"]["pixels"] != counted["labels"]["pixels"]:
            found.damaged.add(f"{where} numbers of pixels by class than its labels have")
        for modality in self.store.info.modalities:
            for name in ("mean", "std"):
                scale = max(1.0, float(np.abs(counted[modality]["mean"]).max()))
                if not np.allclose(kept[modality][name], counted[modality][name], 1e-4, 1e-4 * scale):
                    found.damaged.add(f"{where} values of {name} than the pixels of {modality} have")
