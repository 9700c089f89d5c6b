import contextlib
import os
import pickle
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cromss.dataset.batches import LocationDataset
from cromss.dataset.reference import open_reference
from cromss.dataset.reference_formats import FORMATS
from cromss.dataset.sampling import SampleIndex
from cromss.dataset.scaling import quantise
from cromss.io.safe_pickle import load_plain
from helpers.published import write_lmdb
from helpers.shared import PUBLISHED, needs_published


def nol_values(count=2, size=4, seasons=2, first_id=7):
    """NoL values by kind: S1, S2, labels."""
    rng = np.random.default_rng(0)
    values = {}
    for name, shape in {"s1": (2,), "s2c": (13,), "labels": ()}.items():
        shape = (seasons, *shape, size, size)
        values[name] = {
            str(index): (rng.integers(0, 9, shape, np.uint8).tobytes(), shape, np.int64(first_id + index))
            for index in range(count)
        }
    return values


def write_nol(folder, values):
    for name, content in values.items():
        write_lmdb(folder / f"nol_{name}.lmdb", content)
    return folder


def tile_values(labels, key="dw_0", s1_dtype=np.float32, ids=True):
    labels = np.array(labels, np.uint8)
    arrays = {
        "s1_0": np.full((2, *labels.shape), -12.5, s1_dtype),
        "s2_0": np.full((13, *labels.shape), 1234, np.uint16),
        key: labels,
    }
    return {
        name: (array.tobytes(), array.shape, *([f"{name[:2]}_1.5_2.5-20190816.tif"] if ids else []))
        for name, array in arrays.items()
    }


@needs_published
def test_nol_as_the_reference_reads_it():
    expected = np.load(PUBLISHED / "expected.npz")
    reader = open_reference(PUBLISHED, "nol")
    image = np.concatenate([reader.read_images(0, 2, name) for name in ("s1", "s2")])
    np.testing.assert_array_equal(image / np.float32(255), expected["nol_img_13b_season2"])
    rgb_first = reader.read_images(0, 2, "s2", bands=[3, 2, 1])
    np.testing.assert_array_equal(rgb_first / np.float32(255), expected["nol_img_13b_season2"][[5, 4, 3]])
    np.testing.assert_array_equal(reader.read_labels(0)[2], expected["nol_labels_season2"])
    assert [reader.location_id(index) for index in range(len(reader))] == ["0200000", "0200001"]
    assert (reader.info.seasons, reader.info.size) == (4, (72, 72))
    assert reader.info.modalities["s2"].quantised


@needs_published
@pytest.mark.parametrize(
    ("kind", "file", "index", "key", "which"),
    [
        ("dw", "dw_test_lmdb", 1, "dw", "last"),
        ("osm", "osm_test_lmdb", 1, "osm", "last"),
        ("dfc2020", "DFC2020_s12_test.lmdb", 0, "dfc", "first"),
    ],
)
def test_tiles_as_the_reference_reads_them(kind, file, index, key, which):
    expected = np.load(PUBLISHED / "expected.npz")
    reader = open_reference(PUBLISHED / file, kind)
    assert len(reader) == expected[f"{key}_len"]
    image = np.concatenate([quantise(reader.read_images(index, 0, name), name) for name in ("s1", "s2")])
    np.testing.assert_array_equal(image / np.float32(255), expected[f"{key}_img_13b_{which}"])
    labels = expected[f"{key}_labels_{which}"]
    if kind == "dfc2020":
        labels = np.where(labels == 8, 255, labels)
    np.testing.assert_array_equal(reader.read_labels(index)[0], labels)
    assert not reader.info.modalities["s2"].quantised


@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [
        ("dw", [[0, 1], [9, 10]], [[255, 0], [8, 255]]),
        ("osm", [[0, 1], [12, 13]], [[255, 0], [11, 12]]),
        ("dfc2020", [[0, 1], [7, 8]], [[0, 1], [7, 255]]),
    ],
)
def test_stored_labels_become_classes(tmp_path, kind, stored, expected):
    key = {"dw": "dw_0", "osm": "osm_0", "dfc2020": "lbl_0"}[kind]
    dtype = np.float64 if kind == "dfc2020" else np.float32
    write_lmdb(tmp_path / "tiles", tile_values(stored, key, dtype, ids=kind != "dfc2020"))
    reader = open_reference(tmp_path / "tiles", kind)
    assert len(reader) == 1
    np.testing.assert_array_equal(reader.read_labels(0), [expected])
    assert reader.read_images(0, 0, "s1").dtype == dtype
    np.testing.assert_array_equal(reader.read_images(0, 0, "s2"), np.full((13, 2, 2), 1234))
    assert reader.location_id(0) == ("0000000" if kind == "dfc2020" else "1.5_2.5-20190816")


@pytest.mark.parametrize(("kind", "key", "value"), [("dw", "dw_0", 11), ("osm", "osm_0", 14), ("dw", "dw_0", 255)])
def test_unknown_labels_are_refused(tmp_path, kind, key, value):
    write_lmdb(tmp_path / "tiles", tile_values([[0, value]], key))
    reader = open_reference(tmp_path / "tiles", kind)
    with pytest.raises(ValueError, match=rf"{key} \(labels\): label values \[{value}\] are none of"):
        reader.read_labels(0)


def test_one_season_and_explicit_paths(tmp_path):
    values = nol_values(seasons=1)
    write_nol(tmp_path, values)
    paths = {"s1": tmp_path / "nol_s1.lmdb", "s2": tmp_path / "nol_s2c.lmdb", "labels": tmp_path / "nol_labels.lmdb"}
    reader = open_reference(paths, "nol")
    assert reader.info.seasons == 1
    data, shape, _ = values["s2c"]["1"]
    out = np.zeros((13, 4, 4), np.uint8)
    assert reader.read_images(1, 0, "s2", out=out) is out
    np.testing.assert_array_equal(out, np.frombuffer(data, np.uint8).reshape(shape)[0])
    with pytest.raises(ValueError, match="s1, s2, labels are needed"):
        open_reference({"s1": tmp_path}, "nol")
    with pytest.raises(ValueError, match="no season 1"):
        reader.read_images(0, 1, "s2")
    with pytest.raises(IndexError):
        reader.read_labels(2)


def test_a_copy_reads_the_same(tmp_path):
    reader = open_reference(write_nol(tmp_path, nol_values()), "nol")
    expected = reader.read_labels(1)
    copy = pickle.loads(pickle.dumps(reader))  # noqa: S301
    np.testing.assert_array_equal(copy.read_labels(1), expected)


class Command:
    """Unpickled by the usual loader, it runs a command."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("place", ["data", "id"])
def test_a_command_in_a_pickle_is_refused_and_does_not_run(tmp_path, place):
    trace = tmp_path / "it-ran"
    values = nol_values(count=3)
    data, shape, location = values["s1"]["0"]
    values["s1"]["0"] = (Command(trace), shape, location) if place == "data" else (data, shape, Command(trace))
    write_nol(tmp_path, values)
    with pytest.raises(ValueError, match=r"nol_s1.lmdb, key 0 \(s1\): .*posix\.system, which is refused"):
        open_reference(tmp_path, "nol")
    assert not trace.exists()
    # The same bytes do run where they are simply unpickled, so the test above means something.
    pickle.loads(pickle.dumps(values["s1"]["0"]))  # noqa: S301
    assert trace.exists()


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n.",
        b"cnumpy._core.multiarray\nscalar.__class__\n.",
        b"Pan id\n.",
        b"\x80\x04\x82\x01.",  # a code of the extension registry
        b"(icodecs\nlookup\n.",
        pickle.dumps(np.zeros(3)),
        pickle.dumps(np.float64(1)),
        pickle.dumps(Path("x")),
        b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.",
        b"cnumpy._core.multiarray\nscalar\n(cnumpy\ndtype\n(S'i8'\nI00\nI01\ntRS'ab'\ntR.",
        b"cnumpy._core.multiarray\nscalar\n(I3\nS'ab'\ntR.",
        b"cnumpy._core.multiarray\nscalar\n}S'__call__'\nI1\nsb.",  # changes the stand-in for all that follow
        b"",
        b"\x80\x04B\xff\xff\xff\x7fab.",
        b"not a pickle",
    ],
)
def test_other_programs_are_refused(program):
    with pytest.raises(ValueError, match="not a pickle of plain data"):
        load_plain(program)
    assert load_plain(pickle.dumps(np.int64(5))) == 5


PIXELS = b"\x80\x04B\x02\x00\x00\x00ab"
BOMBS = {
    "length of 2^60": b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b"ab.",
    "text of 2^60": b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b"ab.",
    "array of 2^60": b"\x80\x05\x96" + (2**60).to_bytes(8, "little") + b"ab.",
    "frame of 2^60": b"\x80\x04\x95" + (2**60).to_bytes(8, "little") + b"N.",
    "length of 4 GB": b"\x80\x04B\xff\xff\xff\xffab.",
    "place 2^32 of the memo": b"\x80\x04Nr\xfe\xff\xff\xff.",
    "place 2^40 of the memo": b"Np1099511627776\n.",
    "whole number of 2 GB": b"\x80\x04\x8b\xff\xff\xff\x7fab.",
    "whole number of 100,000 digits": b"I" + b"9" * 100_000 + b"\n.",
    "long of 5,000 digits": b"L" + b"9" * 5_000 + b"L\n.",
    "depth": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "tuples in tuples": b"\x80\x04N" + b"\x86" * 100_000 + b".",
    "doubled again and again": b"\x80\x04]" + b"2e" * 100 + b"h\x00" * 500 + b".",
    "pairs of pairs": b"\x80\x04)" + b"2\x86" * 60 + b".",
    "pairs of pairs by the memo": b"\x80\x04)\x94"
    + b"".join(b"h%ch%c\x86\x94" % (place, place) for place in range(60))
    + b".",
    "pairs of pairs as a key": b"\x80\x04})" + b"2\x86" * 60 + b"K\x01s.",
    "many places": b"\x80\x04N" + b"\x94" * 1_000_000 + b".",
    "bytes after its end": PIXELS + b".ab",
    "no end": PIXELS,
    "name of a megabyte": b"c" + b"a" * 2**20 + b"\nb\n.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_pickle_that_claims_memory_or_time_is_refused_at_once(name):
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"not a pickle of plain data: .{8}"):
        load_plain(BOMBS[name])
    assert tracemalloc.get_traced_memory()[1] < 4e6
    tracemalloc.stop()


@settings(max_examples=200, deadline=None)
@given(program=st.binary(max_size=200), place=st.integers(0, 100))
def test_any_bytes_are_plain_data_or_a_sentence(program, place):
    valid = pickle.dumps((b"pixels", (2, 3), np.int64(5)))
    for data in (program, valid[:place] + program, valid[:place] + program + valid[place:]):
        with contextlib.suppress(ValueError):
            load_plain(data)


@pytest.mark.parametrize("stored", [b"x" * 10_000, (1, 2), None, "no underscore \x1b[2J" * 1000, 5.5, -(10**40)])
def test_an_id_of_another_kind(tmp_path, stored):
    values = nol_values(count=1)
    data, shape, _ = values["labels"]["0"]
    values["labels"]["0"] = (data, shape, stored)
    if type(stored) is int:
        pytest.skip("any number is an id") if abs(stored) < 10**9 else None
    with pytest.raises(ValueError, match=r"the id .* is none of this kind|not a pickle|belong") as caught:
        open_reference(write_nol(tmp_path, values), "nol").location_id(0)
    assert len(str(caught.value)) < 700
    assert "\x1b" not in str(caught.value)


INTEGERS = [np.int64(-3), np.uint8(200), np.int32(2**30), np.array(-2, ">i4")[()]]


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("value", INTEGERS)
def test_numpy_integers_become_ints(protocol, value):
    read = load_plain(pickle.dumps((b"pixels", (2, 3), value), protocol))
    assert read == (b"pixels", (2, 3), int(value))
    assert type(read[2]) is int


@pytest.mark.parametrize("value", INTEGERS)
def test_numpy_integers_become_ints_whichever_numpy_wrote_them(value):
    # Protocol 3 names modules on a line of their own, so one is easily put in place of the other.
    written = re.sub(rb"numpy\.(_core|core)\.multiarray", b"numpy.core.multiarray", pickle.dumps(value, 3))
    assert load_plain(written) == int(value)
    assert load_plain(written.replace(b"numpy.core", b"numpy._core")) == int(value)


def test_ids_that_disagree_are_found(tmp_path):
    values = nol_values(count=2)
    data, shape, _ = values["s2c"]["1"]
    values["s2c"]["1"] = (data, shape, 99)
    reader = open_reference(write_nol(tmp_path, values), "nol")
    reader.read_labels(1)
    reader.read_images(1, 0, "s1")
    with pytest.raises(ValueError, match=r"location 1: labels belongs to '0000008' .* and s2 to '0000099' .*nol_s2c"):
        reader.read_images(1, 0, "s2")


def test_ids_that_disagree_are_found_in_a_batch(tmp_path):
    values = nol_values(count=3)
    data, shape, _ = values["labels"]["2"]
    values["labels"]["2"] = (data, shape, 99)
    reader = open_reference(write_nol(tmp_path, values), "nol")
    bands = {"s1": (0, 1), "s2": tuple(range(13))}
    with pytest.raises(ValueError, match="location 2: s1 belongs to .* do not belong together"):
        LocationDataset(reader, bands).__getitems__([SampleIndex(index, 0, 0) for index in range(3)])


def test_ids_that_disagree_at_the_start_are_found_at_once(tmp_path):
    values = nol_values()
    data, shape, _ = values["labels"]["0"]
    values["labels"]["0"] = (data, shape, 99)
    with pytest.raises(ValueError, match="location 0: .* do not belong together"):
        open_reference(write_nol(tmp_path, values), "nol")


def test_numbers_that_disagree_are_found(tmp_path):
    values = nol_values(count=3)
    del values["s2c"]["2"]
    with pytest.raises(ValueError, match=r"numbers of locations disagree: 3 s1 .*, 2 s2 .*, 3 labels"):
        open_reference(write_nol(tmp_path, values), "nol")


def test_a_gap_is_found(tmp_path):
    values = nol_values(count=3)
    for content in values.values():
        content["9"] = content.pop("1")
    reader = open_reference(write_nol(tmp_path, values), "nol")
    with pytest.raises(ValueError, match=r"key 1 \(labels\): the value is missing"):
        reader.read_labels(1)


@pytest.mark.parametrize("name", ["s1", "s2c", "labels"])
def test_sizes_that_disagree_are_found(tmp_path, name):
    values = nol_values(size=4)
    values[name] = nol_values(size=5)[name]
    with pytest.raises(ValueError, match="its shape is"):
        open_reference(write_nol(tmp_path, values), "nol")


def test_a_later_location_of_another_size_is_found(tmp_path):
    values = nol_values(size=4)
    for name, content in nol_values(size=5).items():
        values[name]["1"] = content["1"]
    reader = open_reference(write_nol(tmp_path, values), "nol")
    with pytest.raises(
        ValueError, match=r"key 1 \(s2\): its shape is \(2, 13, 5, 5\), all others need \(2, 13, 4, 4\)"
    ):
        reader.read_images(1, 0, "s2")
    with pytest.raises(ValueError, match=r"key 1 \(labels\)"):
        reader.read_labels(1)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"\x80\x04 damaged", "not a pickle"),
        ((b"abc", (2, 4, 4), 7), "3 bytes do not make uint8"),
        ((b"", (0, 4, 4), 7), "not .bytes, shape"),
        ((b"", (-2, 4, 4), 7), "not .bytes, shape"),
        ((b"ab", (True, 2), 7), "not .bytes, shape"),
        (("text", (2, 4, 4), 7), "not .bytes, shape"),
        ((b"\0" * 32, (2, 4, 4)), "no tuple of 3"),
        ((b"\0" * 32, (2, 4, 4), "s1_x.tif"), "the id 's1_x.tif' is none of this kind"),
        ([1, 2, 3], "no tuple of 3"),
    ],
)
def test_damaged_values_are_refused(tmp_path, value, words):
    values = nol_values()
    values["labels"]["1"] = value
    reader = open_reference(write_nol(tmp_path, values), "nol")
    with pytest.raises(ValueError, match=rf"nol_labels.lmdb, key 1 \(labels\): .*{words}"):
        reader.read_labels(1)


def test_a_truncated_file_is_refused(tmp_path):
    write_nol(tmp_path, nol_values())
    file = tmp_path / "nol_s2c.lmdb" / "data.mdb"
    os.truncate(file, file.stat().st_size - 4096)
    with pytest.raises(ValueError, match="truncated: 8192 bytes where its header names 12288"):
        open_reference(tmp_path, "nol")


def test_wrong_paths_and_kinds_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'nl' is unknown: choose one of nol, dw, osm, dfc2020"):
        open_reference(tmp_path, "nl")
    with pytest.raises(ValueError, match="does not exist"):
        open_reference(tmp_path / "absent", "nol")
    with pytest.raises(ValueError, match="holds 0 LMDBs whose name contains s1"):
        open_reference(tmp_path, "nol")
    with pytest.raises(ValueError, match="no LMDB: for kind dw give the LMDB itself"):
        open_reference(tmp_path, "dw")
    write_lmdb(tmp_path / "tiles", tile_values([[1]]))
    with pytest.raises(ValueError, match="disagree: 1 s1 .* 0 labels"):
        open_reference(tmp_path / "tiles", "osm")
    with pytest.raises(ValueError, match="of another kind"):
        open_reference(dict.fromkeys(FORMATS["nol"].entries, tmp_path / "tiles"), "nol").read_labels(0)


def test_two_candidates_for_one_kind_are_refused(tmp_path):
    write_nol(tmp_path, nol_values())
    write_lmdb(tmp_path / "old_s1.lmdb", {})
    with pytest.raises(ValueError, match=r"holds 2 LMDBs whose name contains s1.*nol_s1.lmdb, .*old_s1.lmdb"):
        open_reference(tmp_path, "nol")
