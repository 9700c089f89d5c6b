import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import yaml

from cromss.dataset.bands import BANDS
from cromss.dataset.convert import convert
from cromss.dataset.store import open_store
from cromss.io.package_data import config_dir
from cromss.prepare import tiles as tiles_module
from cromss.prepare.sources import open_dfc2020, open_dw, open_osm
from helpers.raw_layouts import dfc2020, random_places, real_places, tiles
from helpers.scenes import CORNER, CRS, pixels, write_scene
from helpers.shared import needs_shared

SIDE = 12
S2_BANDS = [band.name for band in BANDS["s2"]]


def arrays(side=SIDE, seed=0, kind="dw"):
    """Images, and labels whose stored codes run 1..9 from the left."""
    codes = np.broadcast_to(np.arange(side) % 9 + 1, (1, side, side)).astype(np.uint8)
    return {"s1": pixels("s1", side, side, seed), "s2": pixels("s2", side, side, seed), kind: codes}


def write_tile(folder, name="a", kind="dw", side=SIDE, seed=0, change=None, **profile):
    """Writes a tile and returns its arrays; `change` holds other arrays for some parts."""
    parts = {**arrays(side, seed, kind), **(change or {})}
    for part, image in parts.items():
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_scene(folder / part / f"{part}_{name}.tif", image, **profile)
    return parts


def write_patch(folder, split, number, codes):
    for part, image in {
        "s1": pixels("s1", 256, 256, number).astype(np.float64),
        "s2": pixels("s2", 256, 256, number),
        "dfc": codes,
    }.items():
        place = folder / split / f"{part}_{split}"
        place.mkdir(parents=True, exist_ok=True)
        write_scene(place / f"ROIs0000_{split}_{part}_0_p{number}.tif", image)


def dw(path, cut=None, size=None):
    return open_dw(path, cut, size)


def ids(reader):
    return [reader.location_id(index) for index in range(len(reader))]


def test_a_tile_is_read_as_written(tmp_path):
    write_tile(tmp_path, "b", seed=1)
    expected = write_tile(tmp_path, "a", seed=2)
    reader = pickle.loads(pickle.dumps(dw(tmp_path)))  # noqa: S301
    assert ids(reader) == ["a", "b"]
    assert (reader.info.seasons, reader.info.size, len(reader.info.classes)) == (1, (SIDE, SIDE), 9)
    assert {name: stored.dtype for name, stored in reader.info.modalities.items()} == {"s1": "float32", "s2": "uint16"}
    assert not any(stored.quantised for stored in reader.info.modalities.values())
    np.testing.assert_array_equal(reader.read_images(0, 0, "s1"), expected["s1"])
    out = np.zeros((2, SIDE, SIDE), np.uint16)
    assert reader.read_images(0, 0, "s2", bands=[12, 0], out=out) is out
    np.testing.assert_array_equal(out, expected["s2"][[12, 0]])
    np.testing.assert_array_equal(reader.read_labels(0), expected["dw"] - 1)
    assert reader.grid(0)["crs"].to_string() == CRS
    assert tuple(reader.grid(0)["transform"])[:6] == (10, 0, CORNER[0], 0, -10, CORNER[1])


def test_what_is_asked_wrongly_is_named(tmp_path):
    write_tile(tmp_path)
    reader = dw(tmp_path)
    with pytest.raises(ValueError, match="no modality 's3': it holds s1, s2"):
        reader.read_images(0, 0, "s3")
    with pytest.raises(ValueError, match="no season 1"):
        reader.read_images(0, 1, "s1")
    with pytest.raises(ValueError, match="no exact labels beside"):
        reader.read_truth(0)


def test_what_was_read_may_be_written_to(tmp_path):
    write_tile(tmp_path)
    reader = dw(tmp_path)
    reader.read_images(0, 0, "s1")[:] = 0
    reader.read_labels(0)[:] = 7
    assert reader.read_images(0, 0, "s1").any()
    assert reader.read_labels(0).max() == 8


@pytest.mark.parametrize(
    ("kind", "stored", "expected"),
    [("dw", [0, 1, 9, 10], [255, 0, 8, 255]), ("osm", [0, 1, 10, 13], [255, 0, 9, 12])],
)
def test_codes_become_classes(tmp_path, kind, stored, expected):
    codes = np.resize(stored, (1, SIDE, SIDE)).astype(np.uint8)
    write_tile(tmp_path, kind=kind, change={kind: codes})
    reader = {"dw": open_dw, "osm": open_osm}[kind](tmp_path, None, None)
    np.testing.assert_array_equal(reader.read_labels(0).ravel()[:4], expected)


@pytest.mark.parametrize(("kind", "wrong"), [("dw", [11, 255]), ("osm", [14, 255])])
def test_codes_that_mean_nothing_are_named(tmp_path, kind, wrong):
    write_tile(tmp_path, kind=kind, change={kind: np.resize([1, *wrong], (1, SIDE, SIDE)).astype(np.uint8)})
    reader = {"dw": open_dw, "osm": open_osm}[kind](tmp_path, None, None)
    with pytest.raises(ValueError, match=rf"{kind}_a.tif: label values \[{wrong[0]}, 255\] are none of \[0, 1, "):
        reader.read_labels(0)


def test_codes_of_dfc2020_become_classes_and_all_others_are_unlabelled(tmp_path):
    codes = np.resize(np.arange(256), (1, 256, 256)).astype(np.uint8)
    write_patch(tmp_path, "test", 10, codes)
    write_patch(tmp_path, "test", 2, codes)
    reader = open_dfc2020(tmp_path, "test", None)
    assert ids(reader) == ["p2", "p10"]
    assert (reader.info.size, reader.info.modalities["s1"].dtype) == ((256, 256), "float64")
    labels = reader.read_labels(0)[0, 0]
    assert labels[:11].tolist() == [255, 1, 5, 255, 2, 3, 4, 6, 255, 7, 0]
    assert (labels[11:] == 255).all()
    np.testing.assert_array_equal(reader.read_images(1, 0, "s1"), pixels("s1", 256, 256, 10).astype(np.float64))


def test_dfc2020_cut(tmp_path):
    codes = np.zeros((1, 256, 256), np.uint8)
    codes[0, 127, 128] = codes[0, 255, 0] = 4
    write_patch(tmp_path, "validation", 7, codes)
    reader = open_dfc2020(tmp_path, "validation", 128)
    assert ids(reader) == ["p7_0_1", "p7_1_0"]
    assert np.argwhere(reader.read_labels(0) == 2).tolist() == [[0, 127, 0]]
    assert np.argwhere(reader.read_labels(1) == 2).tolist() == [[0, 127, 0]]
    np.testing.assert_array_equal(reader.read_images(1, 0, "s2"), pixels("s2", 256, 256, 7)[:, 128:, :128])


@pytest.mark.parametrize(("side", "padding"), [(510, 1), (512, 0)])
def test_patches_are_those_of_the_padded_tile_from_offset_1(tmp_path, side, padding):
    image = -1 - np.linspace(0, 30, 2 * side * side, dtype=np.float32).reshape(2, side, side)
    expected = write_tile(tmp_path, side=side, change={"s1": image})
    reader = dw(tmp_path, cut=102)
    assert (len(reader), reader.info.size) == (25, (102, 102))
    assert ids(reader)[:6] == ["a_0_0", "a_0_1", "a_0_2", "a_0_3", "a_0_4", "a_1_0"]
    padded = np.pad(image, ((0, 0), (padding, padding), (padding, padding)), "edge")
    codes = np.pad(expected["dw"], ((0, 0), (padding, padding), (padding, padding)), "edge")
    assert padded.shape == (2, 512, 512)
    for index in (0, 7, 24):
        rows, columns = (slice(1 + 102 * n, 103 + 102 * n) for n in divmod(index, 5))
        np.testing.assert_array_equal(reader.read_images(index, 0, "s1"), padded[:, rows, columns])
        np.testing.assert_array_equal(reader.read_labels(index), codes[:, rows, columns] - 1)
    # Patch 7 is row 1, column 2; 10 m a pixel.
    west, north = CORNER[0] + 10 * (204 + 1 - padding), CORNER[1] - 10 * (102 + 1 - padding)
    assert tuple(reader.grid(7)["transform"])[:6] == (10, 0, west, 0, -10, north)


def test_patches_without_a_label_are_left_out(tmp_path):
    codes = np.zeros((1, SIDE, SIDE), np.uint8)
    codes[0, 4, 11] = 3
    codes[0, :4, :4] = 10  # cloud
    write_tile(tmp_path, change={"dw": codes})
    reader = dw(tmp_path, cut=4)
    assert ids(reader) == ["a_1_2"]
    assert reader.read_labels(0)[0, 0].tolist() == [255, 255, 255, 2]
    assert len(dw(tmp_path)) == 1
    write_tile(tmp_path, change={"dw": np.zeros((1, SIDE, SIDE), np.uint8)})
    with pytest.raises(ValueError, match="no pixel of 1 tiles has a label"):
        dw(tmp_path, cut=4)


def test_patches_of_labels_that_cannot_be_read_are_kept_to_be_reported(tmp_path):
    write_tile(tmp_path, "a")
    write_tile(tmp_path, "b", change={"dw": np.full((1, SIDE, SIDE), 99, np.uint8)})
    reader = dw(tmp_path, cut=6)
    assert ids(reader) == [f"{tile}_{row}_{column}" for tile in "ab" for row in (0, 1) for column in (0, 1)]
    assert reader.read_labels(3).shape == (1, 6, 6)
    with pytest.raises(ValueError, match=r"dw_b.tif: label values \[99\]"):
        reader.read_images(4, 0, "s1")


def test_a_tile_is_read_once_for_all_its_patches(tmp_path, monkeypatch):
    write_tile(tmp_path, "a")
    write_tile(tmp_path, "b")
    reader = dw(tmp_path, cut=4)
    read, read_tile = [], tiles_module.read_tile
    monkeypatch.setattr(tiles_module, "read_tile", lambda tile, *rest: read.append(tile.id) or read_tile(tile, *rest))
    for index in range(len(reader)):
        for modality in ("s1", "s2"):
            reader.read_images(index, 0, modality)
        reader.read_labels(index)
    assert (len(reader), read) == (18, ["a", "b"])
    assert len(pickle.dumps(reader)) < 4000  # without the pixels


def test_names_in_capitals_and_with_spaces(tmp_path):
    folder = tmp_path / "my tiles"
    expected = write_tile(folder, "Weißer See 1")
    (folder / "s1" / "s1_Weißer See 1.tif").rename(folder / "s1" / "S1_WEIßER SEE 1.TIF")
    (folder / "s2" / "s2_Weißer See 1.tif").rename(folder / "s2" / "s2_Weißer See 1.tiff")
    (folder / "dw").rename(folder / "DW")
    (folder / "s1" / "._s1_Weißer See 1.tif").touch()
    (folder / "s1" / "s1_Weißer See 1.tif.aux.xml").touch()
    reader = dw(str(folder))
    assert (ids(reader), reader.absent) == (["WEIßER SEE 1"], {})
    np.testing.assert_array_equal(reader.read_images(0, 0, "s2"), expected["s2"])


def test_two_names_of_one_tile_are_refused(tmp_path):
    write_tile(tmp_path, "a")
    write_scene(tmp_path / "s2" / "S2_A.TIF", arrays()["s2"])
    with pytest.raises(ValueError, match="holds S2_A.TIF and s2_a.tif, which both mean tile A: keep one"):
        dw(tmp_path)
    (tmp_path / "s2" / "S2_A.TIF").unlink()
    (tmp_path / "S1").mkdir()
    with pytest.raises(ValueError, match="holds S1 and s1, which mean the same: keep one"):
        dw(tmp_path)


def test_tiles_that_lack_a_part_are_left_out_and_named(tmp_path):
    for name in ("a", "b", "c"):
        write_tile(tmp_path, name)
    (tmp_path / "s2" / "s2_a.tif").unlink()
    (tmp_path / "s1" / "s1_c.tif").unlink()
    (tmp_path / "dw" / "dw_c.tif").unlink()
    reader = dw(tmp_path)
    assert ids(reader) == ["b"]
    assert reader.absent == {"a": "s2/s2_a.tif is missing", "c": "s1/s1_c.tif and dw/dw_c.tif are missing"}
    (tmp_path / "s1" / "s1_b.tif").unlink()
    layout = "s1/s1_<id>.tif, s2/s2_<id>.tif, dw/dw_<id>.tif"
    with pytest.raises(ValueError, match=rf"\(1 of s1, 2 of s2, 2 of labels\): {layout} are needed"):
        dw(tmp_path)


def test_folders_that_are_not_there_are_named_with_the_layout(tmp_path):
    write_tile(tmp_path)
    with pytest.raises(ValueError, match=r"holds no folder osm: .* has to hold s1/s1_<id>.tif, .*osm/osm_<id>.tif"):
        open_osm(tmp_path, None, None)
    with pytest.raises(ValueError, match="holds no folder test: .*test/s1_test/ROIs0000_test_s1_0_<id>.tif"):
        open_dfc2020(tmp_path, "test", None)
    with pytest.raises(ValueError, match="does not exist: it has to hold"):
        dw(tmp_path / "absent")
    with pytest.raises(ValueError, match="is no folder: it has to hold"):
        dw(tmp_path / "s1" / "s1_a.tif")


def changed(part, array=None, **profile):
    """Replaces the file of a part of tile b."""

    def change(folder):
        write_scene(folder / part / f"{part}_b.tif", arrays()[part] if array is None else array, **profile)

    return change


def cut_short(part, left):
    def change(folder):
        file = folder / part / f"{part}_b.tif"
        os.truncate(file, int(left * file.stat().st_size))

    return change


def with_pixel(part, value):
    image = arrays()[part].copy()
    image[1, 2, 3] = value
    return image


DAMAGES = {
    "empty": (cut_short("s1", 0), "s1_b.tif cannot be read"),
    "cut short": (cut_short("s2", 0.5), "s2_b.tif cannot be read .*truncated, damaged or no GeoTIFF"),
    "size": (changed("s1", pixels("s1", 8, 8)), "s1_b.tif is 8 x 8 px: 12 x 12 are needed"),
    "type": (changed("s1", arrays()["s1"].astype(np.float64)), "s1_b.tif is float64: s1 is float32 here"),
    "type of labels": (changed("dw", arrays()["dw"].astype(np.uint16)), "dw_b.tif is uint16: labels is uint8 here"),
    "bands": (changed("s2", arrays()["s2"][:12]), r"s2_b.tif: it has 12 bands without names, and s2 has 13 \(B1 B2 "),
    "other bands": (
        changed("s2", arrays()["s2"][:3], names=["B4", "B3", "B2"]),
        "s2_b.tif holds bands B4 B3 B2: the first tile has B1 B2",
    ),
    "bands of labels": (
        changed("dw", arrays()["dw"].repeat(2, 0)),
        "dw_b.tif has 2 bands of uint8: labels are one band",
    ),
    "coordinate system": (
        changed("s2", crs="EPSG:32633"),
        "s2_b.tif and .*s1_b.tif differ in CRS: EPSG:32633 and EPSG:32632: bring them to one grid",
    ),
    "grid": (changed("dw", corner=(CORNER[0] + 10, CORNER[1])), "dw_b.tif and .*s1_b.tif differ in transform"),
    "units": (
        changed("s1", 10 ** (arrays()["s1"] / 10)),
        "s1_b.tif: values .* seems to be backscatter in linear units; dB is needed: convert the file",
    ),
    "nothing seen": (
        changed("s1", np.zeros((2, SIDE, SIDE), np.float32)),
        "s1_b.tif: no pixel has data",
    ),
}


@pytest.mark.parametrize(("change", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_tile_fails_and_no_other(tmp_path, change, words):
    write_tile(tmp_path, "a")
    write_tile(tmp_path, "b")
    change(tmp_path)
    reader = dw(tmp_path)
    reader.read_images(0, 0, "s1")
    with pytest.raises(ValueError, match=words):
        reader.read_images(1, 0, "s1")
    with pytest.raises(ValueError, match=words):
        reader.read_labels(1)
    reader.read_images(0, 0, "s2")


@pytest.mark.parametrize(
    "change",
    [
        changed("s1", with_pixel("s1", np.nan)),
        changed("s1", with_pixel("s1", -9999), nodata=-9999),
        changed("s1", with_pixel("s1", -9999)),
    ],
    ids=["no number", "nodata", "not declared"],
)
def test_an_unknown_pixel_has_no_label(tmp_path, change):
    expected = write_tile(tmp_path, "b")["dw"].copy()
    change(tmp_path)
    reader = dw(tmp_path)
    labels = reader.read_labels(0)
    assert labels[0, 2, 3] == 255
    labels[0, 2, 3] = expected[0, 2, 3] - 1
    np.testing.assert_array_equal(labels, expected - 1)
    assert reader.read_images(0, 0, "s1")[1, 2, 3] == np.float32(BANDS["s1"][1].mean)


def test_the_first_tile_may_be_damaged_and_some_has_to_be_readable(tmp_path):
    write_tile(tmp_path, "a", side=SIDE)
    write_tile(tmp_path, "c", side=SIDE)
    (tmp_path / "s1" / "s1_a.tif").write_bytes(b"")
    assert dw(tmp_path).info.size == (SIDE, SIDE)
    (tmp_path / "s1" / "s1_c.tif").write_bytes(b"")
    with pytest.raises(ValueError, match="none of the tiles can be read. The first: .*s1_a.tif cannot be read"):
        dw(tmp_path)


def test_nodata_that_is_declared_and_not_there_is_fine(tmp_path):
    expected = write_tile(tmp_path, nodata=200)
    np.testing.assert_array_equal(dw(tmp_path).read_labels(0), expected["dw"] - 1)


def test_bands_are_known_by_their_descriptions(tmp_path):
    s2 = arrays()["s2"]
    write_tile(tmp_path, "a")
    write_tile(tmp_path, "b")
    write_scene(tmp_path / "s2" / "s2_b.tif", s2[::-1], names=S2_BANDS[::-1])
    reader = dw(tmp_path)
    assert list(reader.info.modalities["s2"].bands) == S2_BANDS
    np.testing.assert_array_equal(reader.read_images(1, 0, "s2"), s2)


def test_a_given_size_counts_for_all_tiles(tmp_path):
    write_tile(tmp_path, "a", side=8)
    write_tile(tmp_path, "b", side=SIDE)
    reader = dw(tmp_path, size=SIDE)
    assert reader.info.size == (SIDE, SIDE)
    with pytest.raises(ValueError, match="s1_a.tif is 8 x 8 px: 12 x 12 are needed"):
        reader.read_labels(0)
    assert reader.read_labels(1).shape == (1, SIDE, SIDE)


def test_tiles_without_a_place(tmp_path):
    write_tile(tmp_path, crs=None, corner=None)
    assert dw(tmp_path).grid(0) is None


def test_patches_larger_than_the_tiles_are_refused(tmp_path):
    write_tile(tmp_path)
    with pytest.raises(ValueError, match="cut=102 is more than the tiles have, 12 px"):
        dw(tmp_path, cut=102)


@pytest.mark.parametrize(("kind", "opener"), [("dw", open_dw), ("osm", open_osm), ("dfc2020", open_dfc2020)])
def test_settings_and_options_have_the_same_names(kind, opener):
    settings = yaml.safe_load((Path(config_dir()) / "sources" / f"{kind}.yaml").read_text())
    with pytest.raises(ValueError, match="/absent does not exist"):
        opener("/absent", **settings)


@needs_shared
def test_real_places_come_back_from_a_store(tmp_path):
    place = real_places()[5]
    tiles(tmp_path / "tiles", "dw", {5: place})
    convert(open_dw(tmp_path / "tiles", 102, None), tmp_path / "store", False, {}, False)
    store = open_store(tmp_path / "store")
    index = ids(store).index("place5-20200114_1_1")
    np.testing.assert_array_equal(store.read_images(index, 0, "s1"), place.s1[:, 102:204, 102:204])
    np.testing.assert_array_equal(store.read_images(index, 0, "s2"), place.s2[:, 102:204, 102:204])
    np.testing.assert_array_equal(store.read_labels(index)[0], place.labels[102:204, 102:204])


def test_places_of_dfc2020_come_back_from_a_store(tmp_path):
    place = random_places(1)[100]
    dfc2020(tmp_path / "raw", "test", {100: place})
    convert(open_dfc2020(tmp_path / "raw", "test", None), tmp_path / "store", False, {}, False)
    store = open_store(tmp_path / "store")
    np.testing.assert_array_equal(store.read_images(0, 0, "s2"), place.s2[:, :256, :256])
    expected = np.where(place.labels == 8, 255, place.labels)[:256, :256]
    np.testing.assert_array_equal(store.read_labels(0)[0, 16:], expected[16:])
    assert (store.read_labels(0)[0, :16] == 255).all()
