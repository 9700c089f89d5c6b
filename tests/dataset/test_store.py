import json
import lzma
import os
import pickle
import platform
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import lmdb
import numpy as np
import pytest
from torch.utils.data import DataLoader

import cromss.dataset.store_writer as store_writer
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.store import StoreWriter, open_store
from cromss.dataset.store_format import seal
from helpers.stores import StoredSums, flip_byte, random_location, small_info, write_store


def edit(store, change):
    """Applies `change(transaction)` to the LMDB of a store."""
    with lmdb.open(str(store), lock=False, map_size=2**26) as env, env.begin(write=True) as txn:
        change(txn)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("compression", [{}, {"labels": "zstd", "truth": "zstd"}, {"s1": "zstd", "s2": "zstd"}])
@pytest.mark.parametrize("seasons", [1, 3, 11])
def test_what_is_written_is_read(tmp_path, seasons, compression):
    info = small_info(seasons, has_truth=True)
    store = open_store(write_store(tmp_path / "store", info, compression=compression))
    assert len(store) == 3
    assert replace(store.info, statistics={}) == info
    for index in range(3):
        expected = random_location(info, index)
        assert store.location_id(index) == expected["location_id"]
        np.testing.assert_array_equal(store.read_labels(index), expected["labels"])
        np.testing.assert_array_equal(store.read_truth(index), expected["truth"])
        for name, image in expected["images"].items():
            for season in range(seasons):
                read = store.read_images(index, season, name)
                assert read.dtype == image.dtype
                assert read.flags.writeable
                np.testing.assert_array_equal(read, image[season])


def test_a_store_that_an_earlier_program_wrote_is_read_and_would_be_written_again(tmp_path):
    """Of three locations: reading gives these arrays, and the writer of today makes the same bytes of them."""
    content = lzma.decompress((Path(__file__).parents[1] / "golden/store_v1.mdb.xz").read_bytes())
    (tmp_path / "old.mdb").write_bytes(content)
    store = open_store(tmp_path / "old.mdb")
    assert store.info.modalities["s1"] == ModalityInfo(("VV", "VH"), "float32", False)
    assert store.info.modalities["s2"] == ModalityInfo(("B4", "B3", "B2"), "uint8", True)
    assert (store.info.classes, store.info.seasons, store.info.size) == (("water", "trees", "grass"), 2, (6, 5))
    info = replace(store.info, statistics={})
    with StoreWriter(tmp_path / "new", info, {"labels": "zstd", "truth": "zstd", "s2": "zstd"}, False) as writer:
        for index in range(len(store)):
            a = np.arange(120).reshape(2, 2, 6, 5) + index
            images = {"s1": (a / 8).astype(np.float32), "s2": np.concatenate([a, a], axis=1)[:, :3].astype(np.uint8)}
            labels = (a[:, 0] % 3).astype(np.uint8)
            truth = np.where(a[:, 1] % 5, a[:, 1] % 2, 255).astype(np.uint8)
            assert store.location_id(index) == f"place {index}"
            np.testing.assert_array_equal(store.read_labels(index), labels)
            np.testing.assert_array_equal(store.read_truth(index), truth)
            for name, image in images.items():
                read = np.stack([store.read_images(index, season, name) for season in range(2)])
                np.testing.assert_array_equal(read, image)
            writer.add(f"place {index}", images, labels, truth)
    assert (tmp_path / "new/data.mdb").read_bytes() == content


def test_bands_are_picked_in_the_given_order_into_the_given_array(tmp_path):
    store = open_store(write_store(tmp_path / "store"))
    image = random_location(store.info, 1)["images"]["s2"]
    out = np.zeros((2, 12, 10), np.uint16)
    assert store.read_images(1, 1, "s2", bands=[2, 0], out=out) is out
    np.testing.assert_array_equal(out, image[1, [2, 0]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 2, "s1"), "no season 2"),
        ((0, 0, "s3"), "holds s1, s2"),
        ((0, 0, "s2", [3]), "positions 0..2"),
        ((0, 0, "s2", None, np.zeros((3, 12, 10), np.uint8)), "needs uint16"),
        ((0, 0, "s2", [0], np.zeros((3, 12, 10), np.uint16)), "out is"),
    ],
)
def test_reading_what_is_not_there(tmp_path, arguments, words):
    store = open_store(write_store(tmp_path / "store"))
    with pytest.raises(ValueError, match=words):
        store.read_images(*arguments)
    with pytest.raises(ValueError, match="no exact labels"):
        store.read_truth(0)
    with pytest.raises(IndexError):
        store.read_labels(3)


def test_a_flipped_byte_is_found_and_hurts_nothing_else(tmp_path):
    path = write_store(tmp_path / "store")
    flip_byte(path, random_location(small_info(), 1)["images"]["s2"][1].tobytes())
    store = open_store(path)
    with pytest.raises(ValueError, match=r"store .*store, location 1, key 00000001/s2/1: .*checksum.*action=verify"):
        store.read_images(1, 1, "s2")
    store.read_images(1, 0, "s2")
    store.read_images(1, 1, "s1")
    store.read_labels(1)


def test_a_value_under_another_key_is_found(tmp_path):
    path = write_store(tmp_path / "store")
    edit(path, lambda txn: txn.put(b"00000000/labels", txn.get(b"00000001/labels")))
    with pytest.raises(ValueError, match="checksum"):
        open_store(path).read_labels(0)


def test_a_value_of_another_length_is_found(tmp_path):
    path = write_store(tmp_path / "store")
    edit(path, lambda txn: txn.put(b"00000000/labels", seal(b"00000000/labels", b"short")))
    edit(path, lambda txn: txn.put(b"00000000/id", b"x"))
    store = open_store(path)
    with pytest.raises(ValueError, match="5 bytes instead of 240"):
        store.read_labels(0)
    with pytest.raises(ValueError, match="it has 1 bytes"):
        store.location_id(0)


def test_a_missing_value_is_found_at_once(tmp_path):
    path = write_store(tmp_path / "store")
    edit(path, lambda txn: txn.delete(b"00000002/s1/0"))
    with pytest.raises(ValueError, match="holds 18 values where its 3 locations need 19"):
        open_store(path)


def test_a_value_under_an_unknown_key_is_missing_under_its_own(tmp_path):
    path = write_store(tmp_path / "store")
    edit(path, lambda txn: txn.put(b"00000002/s1/7", txn.pop(b"00000002/s1/0")))
    with pytest.raises(ValueError, match="key 00000002/s1/0: the value is missing"):
        open_store(path).read_images(2, 0, "s1")


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    file = write_store(tmp_path / "store") / "data.mdb"
    os.truncate(file, int(file.stat().st_size * share))
    with pytest.raises(ValueError, match=r"truncated|cannot be opened"):
        open_store(file.parent)


def test_a_file_of_noise_is_refused(tmp_path):
    (tmp_path / "data.mdb").write_bytes(np.random.default_rng(0).bytes(2**15))
    with pytest.raises(ValueError, match="cannot be opened as an LMDB"):
        open_store(tmp_path)


def test_what_is_no_store_is_refused_with_the_cure(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        open_store(tmp_path / "absent")
    with pytest.raises(ValueError, match="neither data.mdb nor shards"):
        open_store(tmp_path)
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "s1.tif").touch()
    with pytest.raises(ValueError, match="source=folder"):
        open_store(tmp_path)
    published = tmp_path / "published"
    edit(published, lambda txn: txn.put(b"0", pickle.dumps((b"", (0,), 1))))
    with pytest.raises(ValueError, match=r"open_reference.*source=reference"):
        open_store(published)


def test_a_newer_version_is_refused_whatever_else_changed(tmp_path):
    path = write_store(tmp_path / "store")
    meta = json.dumps({"format": "cromss-store", "version": 2, "bricks": []}).encode()
    edit(path, lambda txn: txn.put(b"meta", b"8 others" + meta))
    with pytest.raises(ValueError, match=r"newer cromss \(store version 2, this one reads up to 1\); update cromss"):
        open_store(path)


@pytest.mark.parametrize("meta", [b"", b"short", b"8 others{]", b'8 others{"format": "cromss-store", "version": 1}'])
def test_a_damaged_description_is_refused(tmp_path, meta):
    path = write_store(tmp_path / "store")
    edit(path, lambda txn: txn.put(b"meta", meta))
    with pytest.raises(ValueError, match="key meta.*damaged"):
        open_store(path)


def test_shards_are_one_dataset(tmp_path):
    write_store(tmp_path / "shards" / "1.lmdb", seeds=range(3, 5))
    write_store(tmp_path / "shards" / "0.lmdb", seeds=range(3), compression={"s2": "zstd"})
    whole = open_store(write_store(tmp_path / "whole", seeds=range(5)))
    shards = open_store(tmp_path / "shards")
    assert [shards.location_id(index) for index in range(len(shards))] == [f"{seed:07d}" for seed in range(5)]
    for index in range(5):
        np.testing.assert_array_equal(shards.read_images(index, 1, "s2"), whole.read_images(index, 1, "s2"))
        np.testing.assert_array_equal(shards.read_labels(index), whole.read_labels(index))
    for key in ("s1", "s2"):
        np.testing.assert_allclose(shards.info.statistics[key]["std"], whole.info.statistics[key]["std"], rtol=1e-12)
    assert shards.info.statistics["labels"] == whole.info.statistics["labels"]


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("classes", replace(small_info(), classes=("a", "b", "c"))),
        ("seasons", small_info(seasons=1)),
        ("size", small_info(size=(10, 12))),
        ("has_truth", small_info(has_truth=True)),
        ("modalities", replace(small_info(), modalities={"s1": small_info().modalities["s1"]})),
    ],
)
def test_shards_that_disagree_are_refused(tmp_path, field, other):
    write_store(tmp_path / "0.lmdb")
    write_store(tmp_path / "1.lmdb", other)
    with pytest.raises(ValueError, match=rf"0\.lmdb and .*1\.lmdb .*disagree in {field}"):
        open_store(tmp_path)


def test_several_readers_and_pickled_copies_share_a_file(tmp_path):
    path = write_store(tmp_path / "store")
    first, second = open_store(path), open_store(path)
    expected = first.read_labels(2)
    del first
    np.testing.assert_array_equal(second.read_labels(2), expected)
    copy = pickle.loads(pickle.dumps(second))  # noqa: S301
    np.testing.assert_array_equal(copy.read_labels(2), expected)


def test_an_open_store_holds_nothing_for_each_location(tmp_path):
    few = open_store(write_store(tmp_path / "few", seeds=range(1)))
    many = open_store(write_store(tmp_path / "many", seeds=range(60)))
    for store in (few, many):
        # The statistics are as long as their digits, and the paths differ by nothing that grows.
        store.info = replace(store.info, statistics={})
        for shard in store._shards:
            shard.meta = replace(shard.meta, info=store.info)
    assert abs(len(pickle.dumps(few)) - len(pickle.dumps(many))) < 20


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_read_a_store_that_their_parent_has_in_use(tmp_path, context):
    dataset = StoredSums(write_store(tmp_path / "store", seeds=range(8)))
    expected = [dataset[index] for index in range(8)]
    loader = DataLoader(dataset, batch_size=2, num_workers=2, multiprocessing_context=context)
    assert [value for batch in loader for value in batch.tolist()] == expected
    assert [dataset[index] for index in range(8)] == expected


def test_a_reader_keeps_its_file_when_the_store_is_replaced(tmp_path):
    path = write_store(tmp_path / "store", seeds=[1])
    store = open_store(path)
    pickled = pickle.dumps(store)
    write_store(path, seeds=[2], overwrite=True)
    assert store.location_id(0) == "0000001"
    assert open_store(path).location_id(0) == "0000002"
    # What was learned from the old file does not hold for the new one, so no copy may go on with it.
    del store
    copy = pickle.loads(pickled)  # noqa: S301
    with pytest.raises(ValueError, match="was replaced"):
        copy.location_id(0)


def test_statistics_by_hand(tmp_path):
    # Band VV holds 1, 1, 3, 3 over both locations: mean 2, std 1. VH holds 0, 0, 0, 4: mean 1, std sqrt(3).
    info = DatasetInfo({"s1": ModalityInfo(("VV", "VH"), "float32", False)}, ("a", "b"), 1, (1, 2))
    with StoreWriter(tmp_path / "store", replace(info, statistics={"source": "by hand"}), {}, False) as writer:
        labels = np.array([[[0, 1]]], np.uint8)
        writer.add("x", {"s1": np.array([[[[1, 1]], [[0, 0]]]], np.float32)}, labels)
        writer.add("y", {"s1": np.array([[[[3, 3]], [[0, 4]]]], np.float32)}, np.array([[[1, 255]]], np.uint8))
    statistics = open_store(tmp_path / "store").info.statistics
    assert statistics["source"] == "by hand"
    np.testing.assert_allclose(statistics["s1"]["mean"], [2, 1])
    np.testing.assert_allclose(statistics["s1"]["std"], [1, 3**0.5])
    assert statistics["labels"]["pixels"] == [1, 2]
    np.testing.assert_allclose(statistics["labels"]["shares"], [1 / 3, 2 / 3])
    assert statistics["labels"]["unlabelled_pixels"] == 1


def test_a_store_takes_at_most_five_percent_more_than_its_pixels(tmp_path):
    modalities = {
        "s1": ModalityInfo(("VV", "VH"), "uint8", True),
        "s2": ModalityInfo(tuple(f"B{band}" for band in range(13)), "uint8", True),
    }
    info = DatasetInfo(modalities, ("a", "b", "c"), 4, (264, 264))
    path = write_store(tmp_path / "store", info, seeds=range(3))
    raw = 3 * 4 * (2 + 13 + 1) * 264 * 264
    assert (path / "data.mdb").stat().st_size <= 1.05 * raw


def test_the_file_grows_as_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(store_writer, "_FIRST_MAP_BYTES", 2**16)
    monkeypatch.setattr(store_writer, "_BATCH_BYTES", 2**12)
    store = open_store(write_store(tmp_path / "store", seeds=range(100)))
    for index in range(100):
        expected = random_location(store.info, index)
        np.testing.assert_array_equal(store.read_images(index, 1, "s1"), expected["images"]["s1"][1])


def wrong(**changes):
    """A location with something changed."""
    location = random_location(small_info())
    for key, value in changes.items():
        target = location["images"] if key in ("s1", "s2") else location
        target[key] = value(target[key])
    return location


def with_value(value, position):
    def change(array):
        array = array.copy()
        array[position] = value
        return array

    return change


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (wrong(s2=lambda image: image[:, :2]), r"'0000000', s2 is uint16 \(2, 2, 12, 10\): .* \(2, 3, 12, 10\)"),
        (wrong(s2=lambda image: image.astype(np.uint8)), "s2 is uint8"),
        (wrong(s1=with_value(np.nan, (1, 0, 3, 3))), "'0000000', s1, season 1, band VV holds NaN or infinite"),
        (wrong(s1=with_value(-np.inf, (0, 1, 3, 3))), "season 0, band VH holds NaN or infinite"),
        (wrong(labels=lambda labels: labels[:1]), "labels is uint8"),
        (wrong(labels=lambda labels: labels.astype(np.int64)), "labels is int64"),
        (wrong(labels=with_value(3, (1, 0, 0))), r"'0000000', labels: values \[3\] are none of 0..2"),
        (wrong(truth=lambda truth: np.zeros((2, 12, 10), np.uint8)), "must not have exact labels"),
        (wrong(images=lambda images: {"s1": images["s1"]}), "has s1: the store holds s1, s2"),
        (wrong(location_id=lambda _: "before"), "'before' is there twice"),
        (wrong(location_id=lambda _: ""), "an id has 1 to"),
    ],
)
def test_a_wrong_location_is_refused_and_leaves_nothing(tmp_path, location, words):
    def write():
        with StoreWriter(tmp_path / "store", small_info(), {}, False) as writer:
            writer.add(**{**random_location(small_info()), "location_id": "before"})
            writer.add(**location)

    with pytest.raises(ValueError, match=words):
        write()
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("info", "compression", "words"),
    [
        (small_info(), {"labels": "gzip"}, "compression.labels=gzip: .*none, zstd"),
        (small_info(), {"label": "zstd"}, "compression.label=zstd: fields are s1, s2, labels, truth"),
        (replace(small_info(), modalities={"s3": ModalityInfo(("a",), "uint8", True)}), {}, "s3"),
        (replace(small_info(), modalities={"s1": ModalityInfo(("a",), "int16", False)}), {}, "int16"),
        (replace(small_info(), classes=()), {}, "0 classes"),
        (replace(small_info(), seasons=0), {}, "0 seasons"),
    ],
)
def test_wrong_settings_are_refused_at_once(tmp_path, info, compression, words):
    with pytest.raises(ValueError, match=words):
        StoreWriter(tmp_path / "store", info, compression, False)


def test_an_empty_store_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nothing was added"):
        write_store(tmp_path / "store", seeds=[])
    assert names_in(tmp_path) == []


def test_an_existing_target_is_replaced_only_on_demand_and_only_at_the_end(tmp_path):
    path = write_store(tmp_path / "store", seeds=[1])
    with pytest.raises(ValueError, match="exists: .*overwrite=true"):
        StoreWriter(path, small_info(), {}, False)
    with pytest.raises(ValueError, match="nothing was added"):
        write_store(path, seeds=[], overwrite=True)
    assert open_store(path).location_id(0) == "0000001"
    write_store(path, seeds=[2], overwrite=True)
    assert open_store(path).location_id(0) == "0000002"
    assert names_in(tmp_path) == ["store"]


def test_nothing_but_a_store_is_overwritten(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "precious.tif").touch()
    published = tmp_path / "published"
    edit(published, lambda txn: txn.put(b"0", b"precious"))
    file = tmp_path / "file"
    file.touch()
    for target in (folder, published, file):
        with pytest.raises(ValueError, match="no intact store, so it is not overwritten"):
            StoreWriter(target, small_info(), {}, True)


def test_ctrl_c_leaves_nothing(tmp_path):
    def write():
        with StoreWriter(tmp_path / "store", small_info(), {}, False) as writer:
            writer.add(**random_location(small_info()))
            assert len(names_in(tmp_path)) == 1
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert names_in(tmp_path) == []


WRITER = """
import sys
from cromss.dataset import store_writer
from helpers.stores import random_location, small_info
store_writer._BATCH_BYTES = 2**16
info = small_info(size=(64, 64))
with store_writer.StoreWriter(sys.argv[1], info, {}, False) as writer:
    for seed in range(10**6):
        writer.add(**random_location(info, seed))
        if seed == 20:
            print("working", flush=True)
"""


def start_writer(target, code=WRITER):
    tests = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(tests), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, str(target)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_killed_writer_leaves_nothing_that_opens_and_the_next_one_cleans_up(tmp_path):
    target = tmp_path / "store"
    with start_writer(target) as writer:
        assert writer.stdout.readline() == "working\n"
        (half,) = tmp_path.iterdir()
        # As long as its writer lives, nobody else takes it away.
        write_store(tmp_path / "store", seeds=[5])
        assert names_in(tmp_path) == sorted([half.name, "store"])
        writer.send_signal(signal.SIGKILL)
    with pytest.raises(ValueError, match="no store"):
        open_store(half)
    write_store(target, seeds=[6], overwrite=True)
    assert names_in(tmp_path) == ["store"]


def test_what_writers_on_other_hosts_have_in_work_stays(tmp_path):
    others = tmp_path / f".store.partial-{platform.node()}-2-{2**22 + 1}-0123abcd"
    others.mkdir()
    dead = tmp_path / f".store.partial-{platform.node()}-{2**22 + 1}-0123abcd"  # above the highest process number
    dead.mkdir()
    write_store(tmp_path / "store")
    assert names_in(tmp_path) == [others.name, "store"]


@pytest.mark.parametrize("exchanging", [True, False])
def test_a_store_that_cannot_be_replaced_stays(tmp_path, monkeypatch, exchanging):
    path = write_store(tmp_path / "store", seeds=[1])
    rename = Path.rename

    def fail_on_the_new_one(self, target):
        if ".partial-" in self.name:
            raise OSError("the share is gone")
        return rename(self, target)

    if exchanging:
        monkeypatch.setattr("cromss.io.atomic.exchange", fail_on_the_new_one)
    else:
        monkeypatch.setattr("cromss.io.atomic._renameat2", None)
        monkeypatch.setattr(Path, "rename", fail_on_the_new_one)
    with pytest.raises(OSError, match=r"cannot write the store .* after [\d,]+ bytes: the share is gone"):
        write_store(path, seeds=[2], overwrite=True)
    assert open_store(path).location_id(0) == "0000001"
    assert names_in(tmp_path) == ["store"]


def test_a_full_disk_ends_with_what_and_where(tmp_path):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2**21, 2**21))\n"
    with start_writer(tmp_path / "store", limit + WRITER) as writer:
        _, errors = writer.communicate()
    assert writer.returncode == 1
    last = errors.strip().splitlines()[-1]
    assert last.startswith(f"OSError: cannot write the store {tmp_path / 'store'} after ")
    assert int(re.search(r"after ([\d,]+) bytes", last)[1].replace(",", "")) > 2**19
    assert "Free space" in last
    assert names_in(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="cannot write a store to .*file/store.*another folder"):
        write_store(tmp_path / "file" / "store")
