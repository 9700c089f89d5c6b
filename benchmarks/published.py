"""How the published program prepares SSL4EO-S12, rewritten plainly, and the check that ours stores the same values.

Every band is opened with rasterio and brought to 264 px with Pillow's bicubic filter; all seasons are stacked and put,
pickled, into three LMDBs, a hundred locations a transaction. Labels have 264 px already, so that the nearest pixel and
the published bicubic filter leave them as they are.
"""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import lmdb
import numpy as np
import rasterio
from PIL import Image

from benchmarks.raw import PARTS, SIZE
from cromss.dataset import open_store
from cromss.dataset.store import Store

TRANSACTION = 100


def prepare_published(raw: Path, locations: int, out: Path) -> None:
    """Writes the first locations as the published program does: pickled, one LMDB each for S1, S2 and labels.

    Args:
        raw: Holds the folders and ``ids.csv``.
        locations: Number of locations.
        out: Folder of the LMDBs.
    """
    with (raw / "ids.csv").open(newline="") as table:
        rows = list(csv.reader(table))[1 : locations + 1]
    for part, bands in PARTS.items():
        (out / part).mkdir(parents=True)
        with lmdb.open(str(out / part), map_size=2**36) as file:
            txn = file.begin(write=True)
            for index, (number, *_) in enumerate(rows):
                seasons = sorted((raw / part / f"{int(number):07d}").iterdir())
                array = np.stack([_published_season(season, bands) for season in seasons])
                array = array[:, 0] if part == "labels" else array
                txn.put(str(index).encode(), pickle.dumps((array.tobytes(), array.shape, int(number))))
                if index % TRANSACTION == TRANSACTION - 1:
                    txn.commit()
                    txn = file.begin(write=True)
            txn.commit()


def _published_season(folder: Path, bands: tuple[str, ...]) -> np.ndarray:
    planes = []
    for band in bands:
        way = Image.Resampling.NEAREST if band == "label" else Image.Resampling.BICUBIC
        with rasterio.open(folder / f"{band}.tif") as file:
            planes.append(np.asarray(Image.fromarray(file.read(1)).resize((SIZE, SIZE), way)))
    return np.stack(planes)


def check_equal(published: Path, store: Path) -> None:
    """Compares two locations of what both ways wrote.

    Args:
        published: Folder of the three LMDBs.
        store: Ours.

    Raises:
        RuntimeError: They differ.
    """
    ours = open_store(store)
    for part, index in ((part, index) for part in PARTS for index in (0, 7)):
        with lmdb.open(str(published / part), readonly=True, lock=False) as file, file.begin() as txn:
            data, shape, number = pickle.loads(txn.get(str(index).encode()))
        theirs = np.frombuffer(data, np.uint8).reshape(shape)
        mine = ours.read_labels(index) if part == "labels" else _images(ours, index, part.removesuffix("c"))
        # Two ways of the same bicubic filter may round to the next grey step.
        steps = 0 if part == "labels" else 2
        apart = np.abs(mine.astype(int) - theirs)
        if int(ours.location_id(index)) != number or apart.max() > steps or (apart > 0).mean() > 0.005:
            raise RuntimeError(f"the two ways make different {part} of {number}, so their times say nothing")


def _images(store: Store, index: int, modality: str) -> np.ndarray:
    return np.stack([store.read_images(index, season, modality) for season in range(4)])
