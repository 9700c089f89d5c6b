"""Data and settings that cannot be used: each ends with its reason and its cure, and nothing on disk is lost."""

import json
import os
import pickle
from pathlib import Path

import lmdb
import numpy as np
import pytest
import rasterio
from rasterio import Affine

import cromss.cli.prepare as prepare
import cromss.cli.train
from cromss.dataset.bands import BANDS
from cromss.dataset.classes import CLASSES
from cromss.dataset.folder import FolderReader
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.store import open_store
from cromss.dataset.store_format import seal
from helpers.preparing import content as values_of
from helpers.stores import flip_byte, random_location, write_store

PLACES, SIZE = 4, 32
NINE = tuple(CLASSES["dynamic_world"])
SMOKE = ["trainer=smoke", "trainer.wandb=disabled", "trainer.progress_bar=false", "dataset.val_fraction=0.25"]


def images(seed):
    rng = np.random.default_rng(seed)
    return {
        "s1.tif": rng.normal(-12, 5, (2, SIZE, SIZE)).astype(np.float32),
        "s2.tif": rng.integers(0, 5000, (13, SIZE, SIZE)).astype(np.uint16),
        "dw.tif": rng.integers(0, 9, (1, SIZE, SIZE)).astype(np.uint8),
    }


def write_tif(file, array, names=()):
    count, height, width = array.shape
    grid = {"crs": "EPSG:32632", "transform": Affine(10, 0, 500000, 0, -10, 4000000)}
    with rasterio.open(
        file, "w", driver="GTiff", count=count, height=height, width=width, dtype=array.dtype, **grid
    ) as target:
        target.write(array)
        for band, name in enumerate(names, start=1):
            target.set_band_description(band, name)


def write_places(folder):
    for place in range(PLACES):
        (folder / f"place{place}").mkdir(parents=True)
        for name, array in images(place).items():
            write_tif(folder / f"place{place}" / name, array)


def with_pixel(name, value):
    """A change of one pixel of one file of every place, since a training reads some of them first."""

    def change(folder):
        for place in range(PLACES):
            array = images(place)[name]
            array[0, 3, 4] = value
            write_tif(folder / f"place{place}" / name, array)

    return change


def in_linear_units(folder):
    for place in range(PLACES):
        write_tif(folder / f"place{place}" / "s1.tif", 10 ** (images(place)["s1.tif"] / 10))


def halve(pattern):
    def change(folder):
        for file in folder.glob(pattern):
            os.truncate(file, file.stat().st_size // 2)

    return change


def write_published(folder, change=lambda values: None):
    """The three published files, small; `change` may edit kind -> key -> value before they are written."""
    rng = np.random.default_rng(0)
    values = {
        kind: {
            str(i): (rng.integers(0, 9, (2, *bands, SIZE, SIZE), np.uint8).tobytes(), (2, *bands, SIZE, SIZE), 7 + i)
            for i in range(PLACES)
        }
        for kind, bands in {"s1": (2,), "s2": (13,), "labels": ()}.items()
    }
    change(values)
    folder.mkdir()
    for kind, content in values.items():
        path = str(folder / f"nol_{kind}.lmdb")
        with lmdb.open(path, map_size=2**24, lock=False) as env, env.begin(write=True) as txn:
            for key, value in content.items():
                txn.put(key.encode(), pickle.dumps(value))


class Command:
    """Unpickled by the usual loader, it makes a file."""

    def __reduce__(self):
        return os.system, ("touch it-ran",)


def with_command(values):
    for key, (_, shape, number) in list(values["s2"].items())[1:]:
        values["s2"][key] = (Command(), shape, number)


def with_other_ids(values):
    for key, (data, shape, number) in list(values["s2"].items())[1:]:
        values["s2"][key] = (data, shape, number + 100)


def without_the_last_labels(values):
    del values["labels"][str(PLACES - 1)]


def with_wrong_labels(values):
    for key, (data, shape, number) in values["labels"].items():
        values["labels"][key] = (b"\x63" + data[1:], shape, number)


def store_info(classes=NINE):
    bands = {name: tuple(band.name for band in BANDS[name]) for name in ("s1", "s2")}
    return DatasetInfo({m: ModalityInfo(b, "uint8", True) for m, b in bands.items()}, classes, 1, (SIZE, SIZE))


def edit_description(store, **changes):
    """Changes the description of a store; None takes a key away. It stays sealed."""
    with lmdb.open(str(store), map_size=2**24, lock=False) as env, env.begin(write=True) as txn:
        content = json.loads(txn.get(b"meta")[8:]) | changes
        content = {key: value for key, value in content.items() if value is not None}
        txn.put(b"meta", seal(b"meta", json.dumps(content).encode()))


def flip_every_location(store):
    for seed in range(PLACES):
        flip_byte(store, random_location(store_info(), seed)["images"]["s2"][0].tobytes())


def store(info=None, change=lambda path: None):
    def make(path):
        change(write_store(path, info or store_info(), seeds=range(PLACES)))

    return make


def published(change=lambda values: None, damage=lambda folder: None):
    def make(path):
        write_published(path, change)
        damage(path)

    return make


def places(change=lambda folder: None):
    def make(path):
        write_places(path)
        change(path)

    return make


def contents(folder):
    return {file: file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def call(main, program, *arguments):
    """Calls a command line that is to fail, as the shell does; its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", [program, *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code


UNUSABLE_IN_TRAINING = [
    ("nol", store(change=flip_every_location), "checksum. The store is damaged: `cromss prepare action="),
    ("nol", store(change=lambda path: edit_description(path, version=2)), "newer cromss (store version 2"),
    ("nol", store(change=lambda path: edit_description(path, seasons=None)), "key seasons is missing"),
    ("nol", store(change=lambda path: os.truncate(path / "data.mdb", 0)), "it is empty or ends within its header"),
    ("nol", store(store_info(classes=(*NINE, "wetland"))), "the dataset has 10 classes"),
    ("nol", published(with_command), "posix.system, which is refused"),
    ("nol", published(with_other_ids), "The files do not belong together: take all from one release"),
    ("nol", published(damage=halve("nol_s2.lmdb/data.mdb")), "it is truncated"),
    ("folder", places(in_linear_units), "set units.s1=linear"),
    ("folder", places(with_pixel("dw.tif", 77)), "dw.tif: values [77] are none of 0..8"),
]


@pytest.mark.parametrize(("dataset", "make", "words"), UNUSABLE_IN_TRAINING)
def test_unusable_data_end_a_training_with_the_reason(dataset, make, words, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "data")
    before = contents(tmp_path / "data")
    assert call(cromss.cli.train.main, "train.py", f"dataset={dataset}", "dataset.path=data", *SMOKE) == 1
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert "GDAL signalled" not in said
    assert contents(tmp_path / "data") == before
    assert not Path("it-ran").exists()


UNUSABLE_IN_PREPARE = [
    ("folder", places(in_linear_units), "set units.s1=linear"),
    ("folder", places(with_pixel("dw.tif", 77)), "dw.tif: values [77] are none of 0..8"),
    ("folder", places(halve("*/s2.tif")), "s2.tif cannot be read"),
    ("folder", places(lambda path: (path / "place2" / "s2.tif").rename(path / "S2.tif")), "(capitals count)"),
    ("folder", lambda path: path.mkdir(), "holds no folders: one folder per location is needed, with s1.tif, s2.tif"),
    ("reference", published(with_command), "posix.system, which is refused"),
    ("reference", published(with_other_ids), "do not belong together"),
    ("reference", published(without_the_last_labels), "numbers of locations disagree: 4 s1"),
    ("reference", published(with_wrong_labels), "label values [99] are none of [0, 1, 2, 3, 4, 5, 6, 7, 8, 255]"),
    ("reference", lambda path: path.mkdir(), "holds 0 LMDBs whose name contains s1"),
]


@pytest.mark.parametrize(("source", "make", "words"), UNUSABLE_IN_PREPARE)
def test_unusable_data_never_cost_the_store_that_they_were_to_replace(
    source, make, words, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "data")
    write_store(tmp_path / "store")
    before = contents(tmp_path)
    arguments = [f"source={source}", "path=data", "out=store", "overwrite=true"]
    assert call(prepare.main, "prepare", *arguments) == 1
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert "GDAL signalled" not in said
    assert {file: data for file, data in contents(tmp_path).items() if ".store.new" not in file.parts} == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["folder.s2_offset=none"], "folder.s2_offset=none must be a whole number, 0 or 1000, or null"),
        (["folder.classes=9"], "folder.classes=9 cannot be used"),
        (["folder.labels=null"], "folder.labels=null must be a path"),
        (["folder.files=s1.tif"], "folder.files=s1.tif must be keys with values: s1, s2"),
        (["+folder.label=dw.tif"], "There is no key folder.label: did you mean folder.labels"),
        (["compression=zstd"], "compression=zstd must be keys with values: s1, s2, labels, truth"),
        (["source=[folder]"], "source=[folder] must be one of ssl4eo_s12, dw"),
        (["source=Folder"], "source=Folder must be one of ssl4eo_s12, dw"),
        (["quantise=maybe", "quantise=true"], "quantise=maybe and quantise=true set quantise more than once"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_named(arguments, words, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    source = [] if arguments[0].startswith("source=") else ["source=folder"]
    assert call(prepare.main, "prepare", *source, "path=data", "out=store", *arguments) == 1
    said = capfd.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert "HYDRA_FULL_ERROR" not in said
    assert list(tmp_path.iterdir()) == []


def convert_places(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["prepare", "source=folder", "path=data", "out=store", *arguments])
    prepare.main()


def test_the_same_conversion_twice_changes_nothing_unless_asked_to(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_places(tmp_path / "data")
    convert_places(monkeypatch)
    before = contents(tmp_path)
    convert_places(monkeypatch)
    assert contents(tmp_path) == before
    assert call(prepare.main, "prepare", "source=folder", "path=data", "out=store", "quantise=false") == 1
    said = capfd.readouterr().err
    assert "store was started from another source or with other settings:\n  quantise: True there, False now" in said
    assert contents(tmp_path) == before
    values = values_of(tmp_path / "store")
    convert_places(monkeypatch, "overwrite=true")
    assert values_of(tmp_path / "store") == values


def test_verify_finds_one_flipped_byte(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    payload = random_location(store_info(), 1)["images"]["s1"][0].tobytes()
    flip_byte(write_store(tmp_path / "store", store_info()), payload, offset=len(payload) - 1)
    assert call(prepare.main, "prepare", "action=verify", "path=store") == 1
    said = capfd.readouterr().err
    assert "location 1, key 00000001/s1/0: its bytes do not match their checksum" in said
    assert "12 values, 1 damaged" in said


def test_paths_that_the_grammar_of_overrides_does_not_take_are_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path.parent)
    write_places(tmp_path / "a=b,c")
    monkeypatch.setattr("sys.argv", ["prepare", "source=folder", "path=~/a=b,c", "out=~/run=1 (x)"])
    prepare.main()
    assert len(open_store(tmp_path / "run=1 (x)")) == PLACES


def test_a_store_inside_its_source_is_refused(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_places(tmp_path / "data")
    assert call(prepare.main, "prepare", "source=folder", "path=data", "out=data/store") == 1
    assert "out=data/store lies in path=data" in capfd.readouterr().err
    assert not Path("data/store").exists()


def folder_reader(path):
    return FolderReader(path, {"s1": "s1.tif", "s2": "s2.tif"}, "dw.tif", None, list(NINE), 0, {})


def describe(name, names, bands=slice(None)):
    def change(path):
        for place in range(PLACES):
            write_tif(path / f"place{place}" / name, images(place)[name][bands], names)

    return change


@pytest.mark.parametrize(
    ("name", "written", "bands", "read"),
    [
        ("s1.tif", ("vh", "vv"), slice(None), ("VH", "VV")),
        ("s2.tif", ("B04", "B03", "b2"), slice(3), ("B4", "B3", "B2")),
        ("s2.tif", ("b8a", "B08"), slice(2), ("B8A", "B8")),
        ("s1.tif", ("Band 1", "Band 2"), slice(None), ("VV", "VH")),
    ],
)
def test_band_names_are_known_in_any_spelling(name, written, bands, read, tmp_path):
    places(describe(name, written, bands))(tmp_path)
    assert folder_reader(tmp_path).info.modalities[name[:2]].bands == read


@pytest.mark.parametrize("names", [("VV", "HH"), ("VV", "VV"), ("VH", ""), ("first", "second")])
def test_band_names_that_contradict_the_usual_order_are_refused(names, tmp_path):
    places(describe("s1.tif", names))(tmp_path)
    with pytest.raises(ValueError, match="s1.tif: it has "):
        folder_reader(tmp_path)


def test_a_published_file_with_damaged_pages_is_named(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    write_published(tmp_path / "data")
    file = tmp_path / "data" / "nol_s2.lmdb" / "data.mdb"
    content = bytearray(file.read_bytes())
    # The first pages describe the file, the next one its tree.
    content[8192:8256] = bytes(byte ^ 255 for byte in content[8192:8256])
    file.write_bytes(content)
    assert call(prepare.main, "prepare", "source=reference", "path=data", "out=store") == 1
    said = capfd.readouterr().err
    assert "data/nol_s2.lmdb is damaged" in said
    assert "Traceback" not in said
