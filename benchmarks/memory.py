"""What a dataset costs: memory of a training process, whatever the number of locations, and bytes on disk."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.head import blobs
from cromss.dataset.bands import BANDS
from cromss.dataset.classes import CLASSES
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.store import StoreWriter

TRAIN = Path(__file__).parents[1] / "train.py"
POLL = 0.02  # seconds between two checks of a process


def compare_memory(locations: int) -> dict[str, float]:
    """Trains an epoch on a store and on one of ten times as many locations, each by the real entrypoint.

    Args:
        locations: Number of locations of the smaller store.

    Returns:
        Highest anonymous resident memory of the training process in MiB, for both, and the ratio.

    Raises:
        RuntimeError: A training failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        used = []
        for number in (locations, 10 * locations):
            store = folder / f"store-{number}"
            _write(store, number, size=32)
            used.append(highest_memory(_training(store, folder / f"run-{number}")))
    return {"small_mib": used[0], "large_mib": used[1], "ratio": used[1] / used[0]}


def _training(store: Path, folder: Path) -> list[str]:
    """The command that trains one epoch on all of a store of 32 px patches."""
    overrides = {
        "dataset": "nol",
        "dataset.path": store,
        "backbone": "tiny",
        "trainer": "smoke",
        "trainer/hardware": "cpu",
        "trainer.epochs": 1,
        "trainer.limit_batches": "null",
        "trainer.batch_size": 16,
        "trainer.workers": 0,
        "trainer.progress_bar": "false",
        "trainer.wandb": "disabled",
        "hydra.run.dir": folder,
    }
    return [sys.executable, str(TRAIN), *(f"{key}={value}" for key, value in overrides.items())]


def highest_memory(command: list[str]) -> float:
    """Runs a command and returns the most anonymous memory it held, in MiB.

    Anonymous: without the pages of the store itself, which the kernel drops whenever it needs them.
    """
    with tempfile.TemporaryFile() as output:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        running = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        status = Path(f"/proc/{running.pid}/status")
        highest = 0
        while running.poll() is None:
            # A process that has ended, but was not waited for, shows no memory.
            found = re.search(r"RssAnon:\s*(\d+) kB", status.read_text())
            highest = max(highest, int(found[1])) if found else highest
            time.sleep(POLL)
        if running.returncode:
            output.seek(0)
            raise RuntimeError(f"{' '.join(command)} failed:\n{output.read().decode()[-2000:]}")
    return highest / 1024


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
