import os
import subprocess
import sys

import numpy as np
import pytest

from cromss.dataset.bands import BANDS
from cromss.dataset.classes import CLASSES
from cromss.dataset.convert import convert
from cromss.dataset.folder import FolderReader
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.reference import open_reference
from cromss.dataset.scaling import quantise
from cromss.dataset.store import open_store
from cromss.prepare.verify import verify
from helpers.preparing import prepared
from helpers.published import published_lmdbs
from helpers.shared import PUBLISHED, REAL_PLACES, needs_published, needs_shared
from helpers.stores import flip_byte, random_location, small_info, write_store


class ArrayReader:
    """A reader of one location in memory."""

    def __init__(self, info, location):
        self.info = info
        self.location = location

    def __len__(self):
        return 1

    def location_id(self, index):
        return self.location["location_id"]

    def read_images(self, index, season, modality):
        return self.location["images"][modality][season]

    def read_labels(self, index):
        return self.location["labels"]

    def read_truth(self, index):
        return self.location["truth"]


def prepare(*arguments, cwd):
    """Runs the command line from any directory."""
    return subprocess.run(
        [sys.executable, "-m", "cromss.prepare", *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def real_places():
    return FolderReader(
        REAL_PLACES, {"s1": "s1.tif", "s2": "s2.tif"}, "dw.tif", None, list(CLASSES["dynamic_world"]), 0, {}
    )


@pytest.mark.parametrize("quantised", [True, False])
def test_convert_keeps_everything(tmp_path, quantised):
    info = small_info(has_truth=True)
    location = random_location(info)
    convert(ArrayReader(info, location), tmp_path / "store", quantised, {"labels": "zstd"}, overwrite=False)
    store = open_store(tmp_path / "store")
    assert store.location_id(0) == location["location_id"]
    np.testing.assert_array_equal(store.read_labels(0), location["labels"])
    np.testing.assert_array_equal(store.read_truth(0), location["truth"])
    for name, positions in {"s1": [0, 1], "s2": [3, 2, 1]}.items():
        expected = location["images"][name][1]
        if quantised:
            expected = quantise(expected, name, positions)
            assert store.info.modalities[name].quantised
            assert store.info.modalities[name].dtype == "uint8"
        np.testing.assert_array_equal(store.read_images(0, 1, name), expected)


def test_convert_refuses_pixels_that_are_no_numbers(tmp_path):
    info = small_info()
    location = random_location(info)
    location["images"]["s1"][1, 0, 2, 2] = np.inf
    with pytest.raises(ValueError, match="location '0000000', s1, season 1, band VV holds NaN or infinite"):
        convert(ArrayReader(info, location), tmp_path / "store", True, {}, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_convert_refuses_to_quantise_unknown_bands(tmp_path):
    info = DatasetInfo({"s2": ModalityInfo(("red",), "uint16", False)}, ("a", "b"), 1, (2, 2))
    reader = ArrayReader(info, random_location(info))
    reader.location["labels"][:] = 0
    with pytest.raises(ValueError, match="s2 bands red have no known statistics.*quantise=false"):
        convert(reader, tmp_path / "store", True, {}, overwrite=False)
    convert(reader, tmp_path / "store", False, {}, overwrite=False)


def test_published_files_become_a_store_that_reads_the_same(tmp_path):
    reader = open_reference(published_lmdbs(), "nol")
    convert(reader, tmp_path / "store", True, {"labels": "zstd"}, overwrite=False)
    store = open_store(tmp_path / "store")
    assert store.info.classes == reader.info.classes
    for index in range(len(reader)):
        assert store.location_id(index) == reader.location_id(index)
        np.testing.assert_array_equal(store.read_labels(index), reader.read_labels(index))
        for season in range(4):
            for name in ("s1", "s2"):
                np.testing.assert_array_equal(
                    store.read_images(index, season, name), reader.read_images(index, season, name)
                )


@needs_published
def test_quantised_tiles_hold_the_reference_arrays(tmp_path):
    convert(open_reference(PUBLISHED / "osm_test_lmdb", "osm"), tmp_path / "store", True, {}, overwrite=False)
    store = open_store(tmp_path / "store")
    image = np.concatenate([store.read_images(1, 0, name) for name in ("s1", "s2")]) / np.float32(255)
    expected = np.load(PUBLISHED / "expected.npz")
    np.testing.assert_array_equal(image, expected["osm_img_13b_last"])
    np.testing.assert_array_equal(store.read_labels(1)[0], expected["osm_labels_last"])


def test_verify_counts_a_good_store(tmp_path):
    # A location: id, labels, truth, and 2 modalities x 2 seasons.
    write_store(tmp_path / "shards" / "0.lmdb", small_info(has_truth=True), seeds=range(3))
    write_store(tmp_path / "shards" / "1.lmdb", small_info(has_truth=True), seeds=range(3, 5))
    damages = verify(tmp_path / "shards", most=10)
    assert str(damages) == "5 locations, 35 values, ok"
    assert damages.damaged.total == 0


def test_verify_lists_every_damage(tmp_path):
    path = write_store(tmp_path / "store", seeds=range(4))
    for index, name in [(0, "s1"), (2, "s2")]:
        flip_byte(path, random_location(small_info(), index)["images"][name][1].tobytes())
    flip_byte(path, random_location(small_info(), 3)["labels"].tobytes())
    damages = verify(path, most=2)
    assert damages.damaged.total == 3
    first, second = damages.damaged
    assert "key 00000000/s1/1:" in first
    assert "key 00000002/s2/1:" in second
    assert str(damages).endswith("… and 1 more\n4 locations, 24 values, 3 damaged")


def test_verify_finds_a_location_that_two_shards_hold(tmp_path):
    write_store(tmp_path / "0.lmdb", seeds=[1, 2])
    write_store(tmp_path / "1.lmdb", seeds=[2, 3])
    damages = verify(tmp_path, most=10)
    assert damages.damaged.total == 1
    assert "location 2: its id '0000002' is there twice" in damages.damaged[0]


@needs_shared
def test_the_command_line_from_another_directory(tmp_path):
    made = prepare("source=folder", f"path={REAL_PLACES}", "out=new/store", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert made.stdout == "3 locations written to new/store\n"
    # Nothing but the store appears: no log, no folder of Hydra's.
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["store"]
    store = open_store(tmp_path / "new" / "store")
    reader = real_places()
    np.testing.assert_array_equal(store.read_images(2, 0, "s2"), quantise(reader.read_images(2, 0, "s2"), "s2"))
    assert store.info.classes == tuple(CLASSES["dynamic_world"])
    assert len(store.info.statistics["s2"]["mean"]) == len(BANDS["s2"])

    checked = prepare("action=verify", "out=new/store", cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "3 locations, 12 values, ok\n")

    flip_byte(tmp_path / "new" / "store" / "00000.lmdb", store.read_images(1, 0, "s1").tobytes())
    checked = prepare("action=verify", "path=new/store", cwd=tmp_path)
    assert checked.returncode == 1
    assert "location 1, key 00000001/s1/0: its bytes do not match their checksum" in checked.stderr
    assert "3 locations, 12 values, 1 damaged" in checked.stderr
    assert "Traceback" not in checked.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"action": "check"}, "action=check must be one of convert, plan, verify, stats, download, export, examples"),
        (
            {"source": "tar", "out": "store"},
            "source=tar must be one of ssl4eo_s12, dw, osm, dfc2020",
        ),
        ({"path": ".", "out": "../store"}, "source=… is missing"),
        ({"source": "reference", "path": "."}, "out=… is missing"),
        ({"source": "reference", "out": "store"}, "path=… is missing"),
        ({"source": "reference", "path": "absent", "out": "store"}, "absent does not exist"),
        ({"source": "dw", "path": "absent", "out": "store"}, "absent"),
        ({"action": "verify", "path": "absent"}, "absent does not exist"),
        ({"action": "verify"}, "out=… is missing"),
    ],
)
def test_mistakes_end_at_once(tmp_path, monkeypatch, settings, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words):
        prepared(*(f"{key}={value}" for key, value in settings.items()))
    assert list(tmp_path.iterdir()) == []


def test_help_is_short_and_shows_commands(tmp_path):
    result = prepare("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert "cromss prepare source=folder path=DIR out=STORE" in result.stdout
    assert "action=verify" in result.stdout
    assert len(result.stdout.splitlines()) < 160
