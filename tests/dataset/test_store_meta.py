import contextlib
import json
from dataclasses import replace

import lmdb
import numpy as np
import pytest
import zstandard

from cromss.dataset.store import StoreWriter, open_store
from cromss.dataset.store_format import decode_meta, seal
from cromss.prepare.verify import verify
from helpers.hostile import JSON_TEXTS, json_bytes, mutations
from helpers.stores import random_location, small_info, write_store


def put(store, key, payload):
    """Replaces a value by one with a right checksum."""
    with lmdb.open(str(store), lock=False, map_size=2**26, sync=False) as env, env.begin(write=True) as txn:
        txn.put(key, seal(key, payload))


def description(store):
    with lmdb.open(str(store), lock=False, readonly=True) as env, env.begin() as txn:
        return json.loads(txn.get(b"meta")[8:])


def with_description(store, **changes):
    """The store with some of its description changed; a dotted key leads into it."""
    content = description(store)
    for key, value in changes.items():
        node = content
        *path, last = key.split("__")
        for part in path:
            node = node[part]
        node[last] = value
    put(store, b"meta", json.dumps(content).encode())
    return store


def read_all(store):
    for index in range(len(store)):
        store.location_id(index)
        store.read_labels(index)
        for modality in store.info.modalities:
            for season in range(store.info.seasons):
                store.read_images(index, season, modality)


def test_every_value_of_a_description_may_be_anything(tmp_path):
    path = write_store(tmp_path / "store", small_info(1, (2, 2)), range(1))
    canary = tmp_path / "canary"
    texts = [(name, json_bytes(changed)) for name, changed in mutations(description(path), canary)]
    accepted = []
    for _, text in [*texts, *JSON_TEXTS.items()]:
        if text is not None:
            with contextlib.suppress(ValueError):
                decode_meta(memoryview(seal(b"meta", text)))
                accepted.append(text)
    assert 0 < len(accepted) < 0.3 * len(texts)
    for text in accepted:
        put(path, b"meta", text)
        # What is accepted and not true is found by reading.
        with contextlib.suppress(ValueError):
            read_all(open_store(path))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"version": -1}, "version is -1"),
        ({"version": True}, "version is True"),
        ({"count": 0}, "count is 0"),
        ({"count": -3}, "count is -3"),
        ({"count": 10**12}, "count is 10"),
        ({"seasons": 0}, "seasons is 0"),
        ({"size": [12]}, "size is"),
        ({"size": [12, 10, 1]}, "size is"),
        ({"size": [2**16, 2**16]}, "s1 would take"),
        ({"modalities__s1__bands": ["VV", "VV"]}, "bands of s1: 'VV' occurs twice"),
        ({"modalities__s1__bands": ["VV", ""]}, "bands"),
        ({"modalities__s1__bands": "VH"}, "bands is 'VH'"),
        ({"modalities__s1__dtype": "object"}, "dtype is 'object'"),
        ({"modalities__s1__dtype": "S1000000"}, "dtype"),
        ({"modalities__s1__quantised": True}, "quantised values are uint8"),
        ({"modalities__s3": {"bands": ["a"], "dtype": "uint8", "quantised": False}}, "s3"),
        ({"modalities": {}}, "modalities"),
        ({"classes": ["water", "water", "grass"]}, "both named water"),
        ({"classes": []}, "classes"),
        ({"classes": ["water", "trees", 3]}, "classes"),
        ({"compression": {}}, "compression does not name labels, s1, s2"),
        ({"compression__s1": "pickle"}, "compression.s1"),
        ({"has_truth": 1}, "has_truth is 1"),
        ({"statistics": {}}, "statistics.s1"),
        ({"statistics__s1__mean": [1.0]}, "statistics.s1 are those of 1 bands"),
        ({"statistics__s1__std": [-1.0, 1.0]}, "statistics.s1: std"),
        ({"statistics__s1__pixels": 5}, "statistics.s1 are those of 2 bands and 5 pixels"),
        ({"statistics__labels__pixels": [1, 2]}, "statistics.labels are those of 2 classes"),
        ({"statistics__labels__unlabelled_pixels": -1}, "statistics.labels: unlabelled_pixels is -1"),
    ],
)
def test_a_description_that_cannot_be_true_is_refused(tmp_path, changes, words):
    path = with_description(write_store(tmp_path / "store"), **changes)
    with pytest.raises(ValueError, match=f"key meta.* is wrong: .*{words}.*create the store again"):
        open_store(path)


def test_a_value_that_would_become_a_gigabyte_is_refused_before(tmp_path):
    path = write_store(tmp_path / "store", compression={"labels": "zstd"})
    put(path, b"00000000/labels", zstandard.compress(bytes(2**26)))
    put(path, b"00000001/labels", b"no zstd")
    # A frame that does not name its size.
    put(path, b"00000002/labels", zstandard.ZstdCompressor(write_content_size=False).compress(bytes(240)))
    store = open_store(path)
    with pytest.raises(ValueError, match=f"{2**26} bytes instead of 240|has .* bytes, where"):
        store.read_labels(0)
    with pytest.raises(ValueError, match="cannot be decompressed"):
        store.read_labels(1)
    with pytest.raises(ValueError, match="bytes instead of 240"):
        store.read_labels(2)


@pytest.mark.parametrize(
    ("key", "payload", "words"),
    [
        (b"00000001/id", b"", "an id has 1 to"),
        (b"00000001/id", b"a\nb", "cannot be printed"),
        (b"00000001/id", b"\xff", "not UTF-8"),
        (b"00000001/id", b"0000000", "is there twice"),
        (b"00000001/labels", bytes([3] * 240), "values .3. are none of"),
        (b"00000001/labels", bytes([1] * 240), "other numbers of pixels by class"),
        (b"00000001/s2/1", bytes(720), "other values of mean than the pixels of s2"),
        (b"00000001/s1/0", np.full(240, np.nan, np.float32).tobytes(), "NaN"),
    ],
)
def test_verify_names_what_has_a_right_checksum_and_cannot_be(tmp_path, key, payload, words):
    path = write_store(tmp_path / "store")
    assert verify(path, 10).damaged.total == 0
    put(path, key, payload)
    found = verify(path, 10)
    assert found.damaged.total >= 1
    assert words in " ".join(found.damaged).replace("[", ".").replace("]", ".")


def test_verify_names_bands_that_nothing_can_read(tmp_path):
    info = small_info()
    other = {**info.modalities, "s1": replace(info.modalities["s1"], bands=("VV", "XX"))}
    path = write_store(tmp_path / "store", replace(info, modalities=other))
    assert "s1 has the bands XX, and VV, VH are known" in verify(path, 10).damaged[0]


@pytest.mark.parametrize("location_id", ["a\nb", "\x1b[2J", "\udcff", "x" * 257])
def test_an_id_that_cannot_be_printed_is_not_stored(tmp_path, location_id):
    def write():
        with StoreWriter(tmp_path / "store", small_info(), {}, False) as writer:
            writer.add(**{**random_location(small_info()), "location_id": location_id})

    with pytest.raises(ValueError, match=r"location '.*id"):
        write()
