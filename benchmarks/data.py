"""A ready batch: ours beside the published way, from files with the same content, checked to give the same batch.

The published way keeps all seasons of a location in one pickled value a modality, reads them all to use one, filters 18
maps a sample with scipy, augments sample by sample and collates. Its augmentation is ours here, called with one sample
at a time, so that only the way of working differs and not the library.
"""

from __future__ import annotations

import pickle
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import lmdb
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.head import FACTORS, blobs, published_prior
from benchmarks.timing import one_thread, seconds
from cromss.dataset import DatasetInfo, ModalityInfo, StoreWriter, open_store
from cromss.dataset.augment import Geometry, RandomGeometry, View
from cromss.dataset.bands import Scale, band_names
from cromss.dataset.datamodule import BatchView, LocationDataset
from cromss.dataset.sampling import Draw
from cromss.smoothing import LabelSmoothing
from cromss.types import RawBatch

SEASONS, SIZE, CROP, CLASSES = 4, 264, 256, 9
BANDS = {"s1": tuple(range(2)), "s2": tuple(range(13))}
GEOMETRY = RandomGeometry(CROP, flip=0.5, rotate=0.2, degrees=90)
ROUNDING = 0.51 / 255
"""The published way turns uint8, so a turned pixel may be off by half a step."""


def compare_batch(locations: int = 16, batch: int = 8, repeats: int = 10) -> dict[str, float]:
    """Times a whole batch, from the files to what the network sees, on one CPU thread.

    Args:
        locations: Locations in each dataset; a location is 4.5 MB.
        batch: Samples a batch.
        repeats: Batches, each with other locations, seasons and geometry; the two ways take turns.

    Returns:
        ``published_ms`` and ``ours_ms`` per sample, medians over the batches, and ``ratio``.

    Raises:
        RuntimeError: The two ways make different batches.
    """
    with _datasets(locations) as (published, ours):
        view = BatchView(
            GEOMETRY,
            LabelSmoothing("spatiotemporal", FACTORS, CLASSES),
            Scale("quantise", BANDS, dict.fromkeys(BANDS, True)),
        )
        draws = _draws(locations, batch, repeats)
        ready = view(ours.__getitems__(draws[0]))
        labels = ready.labels.to(torch.uint8)
        _check_equal((ready.images["s1"], ready.images["s2"], labels, ready.prior), published.ready(draws[0]))
        times = [
            (seconds(lambda: published.ready(drawn)), seconds(lambda: view(ours.__getitems__(drawn))))  # noqa: B023
            for drawn in draws
        ]
    return _medians(times, batch)


def compare_worker(locations: int = 16, batch: int = 8, repeats: int = 10) -> dict[str, float]:
    """Times what a loader's worker does a sample: everything in the published way, read and collate in ours.

    Args and errors as in `compare_batch`.

    Returns:
        ``published_ms``, ``ours_ms`` and ``ratio`` as in `compare_batch`; ``published_read_ms``, which leaves out
        prior and augmentation, and ``read_ratio`` with that.
    """
    with _datasets(locations) as (published, ours):
        draws = _draws(locations, batch, repeats)
        raw = ours.__getitems__(draws[0])
        _check_equal(_drawn(raw), published.read_batch(draws[0]))
        times = [
            (seconds(lambda: published.ready(drawn)), seconds(lambda: ours.__getitems__(drawn)))  # noqa: B023
            for drawn in draws
        ]
        reads = [seconds(lambda: published.read_batch(drawn)) for drawn in draws]  # noqa: B023
    result = _medians(times, batch)
    read = statistics.median(reads) / batch * 1000
    return {**result, "published_read_ms": read, "read_ratio": read / result["ours_ms"]}


class Location(NamedTuple):
    """One sample as the published way reads it: the drawn season, and the labels of all."""

    s1: np.ndarray
    s2: np.ndarray
    labels: np.ndarray


class PublishedDataset:
    """Three LMDBs of pickled ``(bytes, shape, id)`` values, one value a location and file.

    Args:
        folder: Holds ``s1``, ``s2`` and ``labels``.
    """

    def __init__(self, folder: Path) -> None:
        self.files = {
            name: lmdb.open(str(folder / name), readonly=True, lock=False, readahead=False) for name in Location._fields
        }

    def read(self, draw: Draw) -> Location:
        """Loads all seasons of a location and picks one."""
        s1, s2, labels = (self._load(name, draw.location) for name in Location._fields)
        return Location(s1[draw.season], s2[draw.season], labels)

    def read_batch(self, draws: list[Draw]) -> list[Tensor]:
        """Reads and collates, nothing else: drawn images and labels."""
        read = [self.read(draw) for draw in draws]
        drawn = ((one.s1, one.s2, one.labels[draw.season]) for one, draw in zip(read, draws, strict=True))
        return default_collate([tuple(torch.from_numpy(part) for part in parts) for parts in drawn])

    def ready(self, draws: list[Draw]) -> list[Tensor]:
        """S1, S2, labels and prior of a batch, made sample by sample."""
        looks = GEOMETRY.views(len(draws), SIZE, SIZE, torch.Generator().manual_seed(draws[0].seed))
        return default_collate([self._sample(draw, look) for draw, look in zip(draws, looks, strict=True)])

    def _sample(self, draw: Draw, look: View) -> tuple[Tensor, ...]:
        one = self.read(draw)
        prior = published_prior(one.labels, draw.season, CLASSES)
        s1, s2, labels, prior = (torch.from_numpy(x)[None] for x in (one.s1, one.s2, one.labels[draw.season], prior))
        moved = Told(look)({"s1": s1, "s2": s2}, labels, torch.Generator(), prior=prior)
        images = (moved.images[modality][0].float() / 255 for modality in BANDS)
        assert moved.prior is not None
        return (*images, moved.labels[0], moved.prior[0])

    def _load(self, name: str, index: int) -> np.ndarray:
        with self.files[name].begin() as txn:
            data, shape, _ = pickle.loads(txn.get(str(index).encode()))
        return np.frombuffer(bytearray(data), np.uint8).reshape(shape)


class Told(Geometry):
    """Looks at a single sample as told."""

    def __init__(self, look: View) -> None:
        super().__init__(CROP)
        self.look = look

    def views(self, batch: int, height: int, width: int, generator: torch.Generator) -> list[View]:
        """The one view."""
        return [self.look]


@contextmanager
def _datasets(locations: int) -> Iterator[tuple[PublishedDataset, LocationDataset]]:
    """The same random locations in the published files and in a store, on one thread."""
    modalities = {name: ModalityInfo(band_names(name, 13), "uint8", quantised=True) for name in BANDS}
    info = DatasetInfo(modalities, tuple(f"class {c}" for c in range(CLASSES)), SEASONS, (SIZE, SIZE))
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    with tempfile.TemporaryDirectory() as name, one_thread():
        folder = Path(name)
        files = {part: lmdb.open(str(folder / part), map_size=2**33) for part in Location._fields}
        with StoreWriter(folder / "store", info, {"labels": "zstd"}, overwrite=False) as writer:
            for index in range(locations):
                images = {
                    modality: rng.integers(0, 256, (SEASONS, len(bands), SIZE, SIZE), dtype=np.uint8)
                    for modality, bands in BANDS.items()
                }
                labels = blobs(SEASONS, SIZE, CLASSES, generator).numpy()
                writer.add(str(index), images, labels)
                for part, array in (*images.items(), ("labels", labels)):
                    with files[part].begin(write=True) as txn:
                        txn.put(str(index).encode(), pickle.dumps((array.tobytes(), array.shape, index)))
        for file in files.values():
            file.close()
        yield PublishedDataset(folder), LocationDataset(open_store(folder / "store"), BANDS)


def _draws(locations: int, batch: int, repeats: int) -> list[list[Draw]]:
    rng = np.random.default_rng(1)
    return [
        [Draw(int(rng.integers(locations)), int(rng.integers(SEASONS)), seed) for _ in range(batch)]
        for seed in range(repeats)
    ]


def _drawn(raw: RawBatch) -> tuple[Tensor, Tensor, Tensor]:
    rows = torch.arange(len(raw.season))
    return raw.images["s1"], raw.images["s2"], raw.labels[rows, raw.season]


def _check_equal(ours: tuple[Tensor | None, ...], published: list[Tensor]) -> None:
    for mine, theirs in zip(ours, published, strict=True):
        if mine is None or mine.dtype != theirs.dtype or not torch.allclose(mine, theirs, rtol=0, atol=ROUNDING):
            raise RuntimeError("the two ways make different batches, so their times say nothing")


def _medians(times: list[tuple[float, float]], batch: int) -> dict[str, float]:
    published, ours = (statistics.median(column) / batch * 1000 for column in zip(*times, strict=True))
    return {"published_ms": published, "ours_ms": ours, "ratio": published / ours}
