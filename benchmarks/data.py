"""A ready batch: ours beside the published way, from files with the same content, checked to give the same batch.

The published way keeps all seasons of a location in one pickled value per modality, reads them all to use one, filters
18 maps per sample with scipy, makes everything float, augments sample by sample with plain kornia and collates.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import lmdb
import numpy as np
import torch
from kornia.geometry.transform import rotate
from torch import Tensor
from torch.utils.data import default_collate

from benchmarks.head import FACTORS, blobs, published_prior, published_target
from benchmarks.timing import fastest, one_thread
from cromss.dataset import DatasetInfo, ModalityInfo, StoreWriter, open_store
from cromss.dataset.augment import RandomGeometry, View
from cromss.dataset.bands import band_names
from cromss.dataset.batches import BatchView, LocationDataset
from cromss.dataset.sampling import SampleIndex
from cromss.dataset.scaling import Scale
from cromss.smoothing import LabelSmoothing
from cromss.types import Batch

SEASONS, SIZE, CROP, CLASSES = 4, 264, 256, 9
BANDS = {"s1": tuple(range(2)), "s2": tuple(range(13))}
GEOMETRY = RandomGeometry(CROP, flip=0.5, rotate=0.2, degrees=90)
ROUNDING = 0.52 / 255
"""Ours turns images as uint8, the published way as float: a turned pixel may differ by half a step of 255."""


def compare_data(locations: int = 16, batch: int = 8, batches: int = 16) -> dict[str, dict[str, float]]:
    """Times batches from the files to what the network sees, on one CPU thread.

    Args:
        locations: Locations in each dataset; a location is 4.5 MB.
        batch: Samples per batch.
        batches: Batches, each with other locations, seasons and geometry.

    Returns:
        ``ready``, a whole batch, and ``worker``, what a loader's worker does of it: everything in the published way,
        read and collate in ours. Of each ``published_ms`` and ``ours_ms`` per sample, means over the batches (every
        fifth sample turns, and those take longest), and ``ratio``.

    Raises:
        RuntimeError: The two ways make different batches.
    """
    with _datasets(locations) as (published, ours):
        scaling = Scale("quantise", BANDS, dict.fromkeys(BANDS, True))
        view = BatchView(GEOMETRY, LabelSmoothing("spatiotemporal", FACTORS, CLASSES), scaling)
        times = []
        for drawn in _draws(locations, batch, batches):
            ways = (
                lambda: published.ready(drawn),  # noqa: B023
                lambda: view(ours.__getitems__(drawn)),  # noqa: B023
                lambda: ours.__getitems__(drawn),  # noqa: B023
            )
            _check_equal(ways[1](), ways[0]())
            times.append(fastest(ways, repeats=3))
    whole, ready, worker = (1000 * sum(column) / (batch * batches) for column in zip(*times, strict=True))
    return {
        name: {"published_ms": whole, "ours_ms": mine, "ratio": whole / mine}
        for name, mine in (("ready", ready), ("worker", worker))
    }


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

    def read(self, draw: SampleIndex) -> Location:
        """Loads all seasons of a location and picks one."""
        s1, s2, labels = (self._load(name, draw.location) for name in Location._fields)
        return Location(s1[draw.season], s2[draw.season], labels)

    def ready(self, draws: list[SampleIndex]) -> list[Tensor]:
        """S1, S2, labels and soft labels of a batch, made sample by sample."""
        looks = GEOMETRY.views(SIZE, SIZE, [draw.seed for draw in draws])
        samples = [self._sample(draw, look) for draw, look in zip(draws, looks, strict=True)]
        s1, s2, labels, prior = default_collate(samples)
        return [s1, s2, labels, published_target(labels, prior, CLASSES)]

    def _sample(self, draw: SampleIndex, look: View) -> tuple[Tensor, ...]:
        one = self.read(draw)
        prior = published_prior(one.labels, draw.season, CLASSES)
        s1, s2 = (image.astype(np.float32) / 255 for image in (one.s1, one.s2))
        labels = one.labels[draw.season].astype(np.float32)
        # As one image, so that prior and bands move together; labels are moved as a mask.
        stack = _look(torch.from_numpy(np.concatenate([prior, s1, s2])), look, "bilinear")
        mask = _look(torch.from_numpy(labels[None]), look, "nearest")
        prior, s1, s2 = stack.split([CLASSES, len(BANDS["s1"]), len(BANDS["s2"])])
        return s1, s2, mask[0].long(), prior

    def _load(self, name: str, index: int) -> np.ndarray:
        with self.files[name].begin() as txn:
            data, shape, _ = pickle.loads(txn.get(str(index).encode()))
        return np.frombuffer(data, np.uint8).reshape(shape)


def _look(image: Tensor, look: View, mode: str) -> Tensor:
    """Crops, flips and, where an angle is drawn, rotates one ``(K, H, W)`` float image."""
    image = image[:, look.top : look.top + CROP, look.left : look.left + CROP]
    if look.flip:
        image = image.flip(look.flip)
    if look.angle:
        angle = torch.tensor([look.angle])
        image = rotate(image[None], angle, mode=mode, padding_mode="reflection", align_corners=True)[0]
    return image


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


def _draws(locations: int, batch: int, repeats: int) -> list[list[SampleIndex]]:
    rng = np.random.default_rng(1)
    limits = (locations, SEASONS, 2**32)
    return [
        [SampleIndex(*(int(rng.integers(limit)) for limit in limits)) for _ in range(batch)] for _ in range(repeats)
    ]


def _check_equal(ours: Batch, published: list[Tensor]) -> None:
    s1, s2, labels, target = published
    same = ours.labels == labels
    # Where a rotated label at a border became another class, the soft labels differ, too.
    pairs = ((ours.images["s1"], s1), (ours.images["s2"], s2), (ours.target * same[:, None], target * same[:, None]))
    off = [float((mine - theirs).abs().max()) for mine, theirs in pairs]
    other = float((~same).float().mean())
    if max(off[:2]) > ROUNDING or off[2] > 1e-4 or other > 1e-4:
        raise RuntimeError(f"the two ways make different batches, so their times say nothing: {off}, {other}")
