import pickle

import lmdb
import numpy as np
import pytest

from cromss.dataset.reference import ReferenceReader, open_dataset
from cromss.dataset.store import Store
from helpers.stores import write_store

BANDS = {"s1": (2,), "s2": (13,), "label": ()}


def write_published(folder, names):
    for (kind, bands), name in zip(BANDS.items(), names, strict=True):
        shape = (1, *bands, 4, 4)
        with lmdb.open(str(folder / name), map_size=2**20, lock=False) as env, env.begin(write=True) as txn:
            txn.put(b"0", pickle.dumps((np.full(shape, len(kind), np.uint8).tobytes(), shape, 7)))


@pytest.mark.parametrize(
    "names",
    [
        ("nol_s1.lmdb", "nol_s2c.lmdb", "nol_labels.lmdb"),
        ("s1", "s2", "label"),
        ("NoL_S1.LMDB", "NoL_S2C.LMDB", "NoL_Labels.LMDB"),
    ],
)
def test_published_files_are_known_by_the_words_in_their_names(tmp_path, names):
    write_published(tmp_path, names)
    # Another LMDB beside them is none of their business, nor what a killed writer left behind.
    write_published(tmp_path, ("tiles", ".s2.partial", "other.lmdb"))
    reader = open_dataset(tmp_path)
    assert isinstance(reader, ReferenceReader)
    assert reader.location_id(0) == "0000007"


def test_shards_of_a_store_may_bear_the_words_of_published_files(tmp_path):
    for seed, name in enumerate(("labels_s1.lmdb", "labels_s2.lmdb")):
        write_store(tmp_path / name, seeds=[seed])
    store = open_dataset(tmp_path)
    assert isinstance(store, Store)
    assert len(store) == 2


def test_what_is_missing_of_the_published_files_is_named(tmp_path):
    write_published(tmp_path, ("nol_s1.lmdb", "nol_s2c.lmdb", "other.lmdb"))
    with pytest.raises(ValueError, match="holds 0 LMDBs whose name contains label or labels.*nol_s1.lmdb, nol_s2c.lm"):
        open_dataset(tmp_path)


def test_a_folder_named_like_a_number_is_a_folder(tmp_path, monkeypatch):
    write_store(tmp_path / "2020")
    monkeypatch.chdir(tmp_path)
    assert len(open_dataset(2020)) == 3


def test_a_path_may_start_in_the_home_folder(tmp_path, monkeypatch):
    write_store(tmp_path / "store")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(open_dataset("~/store")) == 3
