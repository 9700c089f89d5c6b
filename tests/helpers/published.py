"""LMDBs in the published formats, made of random locations: what the real files hold, in the same keys and types."""

import functools
import pickle
import tempfile
from pathlib import Path

import lmdb
import numpy as np

from cromss.dataset.scaling import quantise
from helpers.locations import random_places

FILES = {"nol": "", "dw": "dw_test_lmdb", "osm": "osm_test_lmdb", "dfc2020": "DFC2020_s12_test.lmdb"}
"""Kind -> where `published_lmdbs` writes it; NoL is three LMDBs in the folder itself."""

SIZES = {"nol": 72, "dw": 102, "osm": 102, "dfc2020": 96}
"""Pixels a side: smaller than published, 264, 510, 510 and 256."""


@functools.cache
def published_lmdbs():
    """A folder with two locations of every kind, written once per process and removed at its end."""
    folder = tempfile.TemporaryDirectory(prefix="published-")
    _ALIVE.append(folder)
    root = Path(folder.name)
    _write_nol(root)
    for kind in ("dw", "osm", "dfc2020"):
        _write_tiles(root / FILES[kind], kind)
    return root


_ALIVE = []


def write_lmdb(path, values):
    """An LMDB of raw bytes, or of pickles of anything else."""
    with lmdb.open(str(path), map_size=2**26, lock=False) as env, env.begin(write=True) as txn:
        for key, value in values.items():
            txn.put(key.encode(), value if isinstance(value, bytes) else pickle.dumps(value))


def _write_nol(root):
    places = list(random_places(2, SIZES["nol"], seed=11).values())
    arrays = {"s1": [], "s2c": [], "labels": []}
    for place in places:
        seasons = [np.roll(place.s1, 7 * season, axis=-1) for season in range(4)]
        arrays["s1"].append(np.stack([quantise(image, "s1") for image in seasons]))
        seasons = [np.roll(place.s2, 7 * season, axis=-1) for season in range(4)]
        arrays["s2c"].append(np.stack([quantise(image, "s2") for image in seasons]))
        arrays["labels"].append(np.stack([np.roll(place.labels, 7 * season, axis=-1) for season in range(4)]))
    for name, values in arrays.items():
        pickled = {
            str(index): (value.tobytes(), value.shape, np.int64(200_000 + index)) for index, value in enumerate(values)
        }
        write_lmdb(root / f"nol_{name}.lmdb", pickled)


def _write_tiles(path, kind):
    values = {}
    for index, place in enumerate(random_places(2, SIZES[kind], seed=23).values()):
        labels = place.labels
        if kind == "dfc2020":
            values[f"s1_{index}"] = place.s1.astype(np.float64)
            values[f"lbl_{index}"] = labels  # class 8 of the nine counts as unknown
        else:
            values[f"s1_{index}"] = place.s1
            # 0 is unmarked and 10 a cloud.
            marked = np.where(labels == 4, 0, labels + 1).astype(np.uint8)
            marked[:3] = 10
            values[f"dw_{index}"] = marked
            if kind == "osm":
                values[f"osm_{index}"] = (labels + 4 * (labels > 6)).astype(np.uint8)
        values[f"s2_{index}"] = place.s2
    name = "{}_{:.10f}_{:.10f}-20190816.tif"
    write_lmdb(
        path,
        {
            key: (array.tobytes(), array.shape)
            if kind == "dfc2020"
            else (array.tobytes(), array.shape, name.format(key[:2], int(key[-1]) - 0.05, int(key[-1]) + 32.9))
            for key, array in values.items()
        },
    )
