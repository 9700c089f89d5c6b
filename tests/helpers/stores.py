"""Small stores with random content, for tests."""

from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.store import StoreWriter, open_store

CLASSES = ("water", "trees", "grass")


def small_info(seasons=2, size=(12, 10), has_truth=False):
    """S1 as float32, three S2 bands as uint16."""
    modalities = {
        "s1": ModalityInfo(("VV", "VH"), "float32", quantised=False),
        "s2": ModalityInfo(("B4", "B3", "B2"), "uint16", quantised=False),
    }
    return DatasetInfo(modalities, CLASSES, seasons, size, has_truth)


def random_location(info, seed=0):
    """Keyword arguments of `StoreWriter.add`, the same for the same seed."""
    rng = np.random.default_rng(seed)
    images = {}
    for name, stored in info.modalities.items():
        shape = (info.seasons, len(stored.bands), *info.size)
        dtype = np.dtype(stored.dtype)
        if dtype.kind == "f":
            images[name] = rng.normal(-12, 5, shape).astype(dtype)
        else:
            images[name] = rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    choices = np.array([*range(len(info.classes)), 255], dtype=np.uint8)
    labels = rng.choice(choices, (info.seasons, *info.size))
    truth = rng.choice(choices, (info.seasons, *info.size)) if info.has_truth else None
    return {"location_id": f"{seed:07d}", "images": images, "labels": labels, "truth": truth}


def write_store(path, info=None, seeds=range(3), compression=None, overwrite=False):
    """Writes a store of random locations and returns its path."""
    info = info or small_info()
    with StoreWriter(path, info, compression or {}, overwrite) as writer:
        for seed in seeds:
            writer.add(**random_location(info, seed))
    return Path(path)


def flip_byte(store, payload, offset=5):
    """Flips one bit of one byte inside a payload as it lies in the file of a store."""
    file = Path(store) / "data.mdb"
    content = bytearray(file.read_bytes())
    start = content.index(payload)
    content[start + offset] ^= 1
    file.write_bytes(content)


class StoredSums(Dataset):
    """Reads a store like a training set does, in whichever process it finds itself."""

    def __init__(self, path):
        self.store = open_store(path)

    def __len__(self):
        return len(self.store)

    def __getitem__(self, index):
        return int(self.store.read_images(index, 0, "s2").sum()) + int(self.store.read_labels(index).sum())
