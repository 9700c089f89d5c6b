"""What reading costs in memory: nothing that grows with the number of locations."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.head import blobs
from cromss.dataset.bands import BANDS
from cromss.dataset.classes import CLASSES
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.store import StoreWriter

EPOCH = """
import sys
import torch
from types import SimpleNamespace
from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.store import open_store
from cromss.smoothing import LabelSmoothing

def anonymous_kib():
    # Without the pages of the store itself, which the kernel drops whenever it needs them.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon"))

store = open_store(sys.argv[1])
data = LocationDataModule(
    store, modalities=("s1", "s2"), bands=13, classes=store.info.classes, season="random", eval_season=0,
    normalisation="quantise", crop="auto", flip=0.5, rotate=0.2, degrees=90, val_fraction=0.01, split_seed=0,
    smoothing=LabelSmoothing("spatiotemporal", (0.15, 0.05), 9), batch_size=16, workers=0, seed=1)
data.trainer = SimpleNamespace(training=True, global_rank=0, world_size=1, fit_loop=SimpleNamespace(
    epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0))))
before = None
for step, raw in enumerate(data.train_dataloader()):
    data.on_after_batch_transfer(raw, 0)
    if step == 10:
        before = anonymous_kib()
print(before, anonymous_kib())
"""


def compare_memory(locations: int) -> dict[str, float]:
    """Runs an epoch over a store and over one of ten times as many locations, each in a process of its own.

    Args:
        locations: Number of locations of the smaller store.

    Returns:
        Anonymous resident memory in MiB after the epoch, for both, and the ratio.
    """
    with tempfile.TemporaryDirectory() as folder:
        used = []
        for number in (locations, 10 * locations):
            path = Path(folder) / f"{number}"
            _write(path, number, size=32)
            done = subprocess.run([sys.executable, "-c", EPOCH, str(path)], capture_output=True, text=True, check=True)
            used.append(int(done.stdout.split()[1]) / 1024)
    return {"small_mib": used[0], "large_mib": used[1], "ratio": used[1] / used[0]}


def compare_size(locations: int) -> dict[str, float]:
    """Writes full-size patches whose images do not compress, and labels that do as real ones.

    Args:
        locations: Number of locations of 264 px and 4 seasons.

    Returns:
        Bytes of the store on disk and of its values uncompressed, and the ratio.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        raw = _write(path, locations, size=264)
        stored = sum(file.stat().st_size for file in path.iterdir())
    return {"stored_bytes": stored, "raw_bytes": raw, "ratio": stored / raw}


def _write(path: Path, locations: int, size: int) -> int:
    """Writes random images and blobs of labels; returns the bytes of all values."""
    seasons, classes = 4, tuple(CLASSES["dynamic_world"])
    bands = {modality: tuple(band.name for band in table) for modality, table in BANDS.items()}
    info = DatasetInfo(
        modalities={modality: ModalityInfo(names, "uint8", True) for modality, names in bands.items()},
        classes=classes,
        seasons=seasons,
        size=(size, size),
    )
    random = np.random.default_rng(0)
    images = {m: random.integers(0, 256, (seasons, len(n), size, size), np.uint8) for m, n in bands.items()}
    labels = blobs(seasons, size, len(classes), torch.Generator().manual_seed(0)).numpy().astype(np.uint8)
    with StoreWriter(path, info, {"labels": "zstd"}, overwrite=False) as writer:
        for index in range(locations):
            writer.add(f"{index:07d}", images, labels)
    return locations * (labels.nbytes + sum(image.nbytes for image in images.values()))
