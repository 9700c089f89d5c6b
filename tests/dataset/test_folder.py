import os
import pickle
import re
import warnings

import numpy as np
import pytest
import rasterio
from rasterio import Affine
from rasterio.errors import NotGeoreferencedWarning

from cromss.dataset.bands import BANDS
from cromss.dataset.classes import CLASSES
from cromss.dataset.folder import FolderReader
from helpers.shared import REAL_PLACES, needs_shared

SIZE = (6, 5)


def north_up(west, pixel):
    return Affine(pixel, 0, west, 0, -pixel, 4000000)


GRID = {"crs": "EPSG:32632", "transform": north_up(500000, 10)}


def write_tif(file, array, names=(), **profile):
    file.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = array.shape
    profile = {"count": count, "height": height, "width": width, "dtype": array.dtype, **GRID, **profile}
    with rasterio.open(file, "w", driver="GTiff", **profile) as target:
        target.write(array)
        for band, name in enumerate(names, start=1):
            target.set_band_description(band, name)


def arrays(seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    return {
        "s1.tif": rng.normal(-12, 5, (2, *size)).astype(np.float32),
        "s2.tif": rng.integers(0, 5000, (13, *size)).astype(np.uint16),
        "dw.tif": rng.integers(0, 3, (1, *size)).astype(np.uint8),
    }


def write_place(folder, seed=0, size=SIZE, **profile):
    for name, array in arrays(seed, size).items():
        write_tif(folder / name, array, **profile)


def read(path, **changes):
    settings = {
        "files": {"s1": "s1.tif", "s2": "s2.tif"},
        "labels": "dw.tif",
        "truth": None,
        "classes": ["a", "b", "c"],
        "s2_offset": 0,
        "units": {},
    }
    return FolderReader(path, **{**settings, **changes})


@needs_shared
def test_the_real_places():
    reader = read(REAL_PLACES, classes=list(CLASSES["dynamic_world"]))
    assert [reader.location_id(index) for index in range(len(reader))] == [
        "282D_485L_3_3",
        "609U_541L_3_0",
        "637U_59R_1_3",
    ]
    assert (reader.info.seasons, reader.info.size) == (1, (224, 224))
    assert reader.info.modalities["s2"].bands[8] == "B8A"
    assert not reader.info.modalities["s1"].quantised
    # 609U is snow only, and the only class there is the last.
    assert np.unique(reader.read_labels(1)).tolist() == [8]
    with rasterio.open(REAL_PLACES / "637U_59R_1_3" / "s2.tif") as source:
        np.testing.assert_array_equal(reader.read_images(2, 0, "s2", bands=[3, 2]), source.read([4, 3]))


def test_a_place_is_read_as_written(tmp_path):
    write_place(tmp_path / "b", seed=2)
    write_place(tmp_path / "a", seed=1)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").touch()
    reader = pickle.loads(pickle.dumps(read(tmp_path, truth="dw.tif")))  # noqa: S301
    assert [reader.location_id(index) for index in range(len(reader))] == ["a", "b"]
    expected = arrays(seed=2)
    np.testing.assert_array_equal(reader.read_images(1, 0, "s1"), expected["s1.tif"])
    out = np.zeros((2, *SIZE), np.uint16)
    assert reader.read_images(1, 0, "s2", bands=[12, 0], out=out) is out
    np.testing.assert_array_equal(out, expected["s2.tif"][[12, 0]])
    np.testing.assert_array_equal(reader.read_labels(1), expected["dw.tif"])
    np.testing.assert_array_equal(reader.read_truth(1), expected["dw.tif"])


def test_seasons_lie_one_level_deeper(tmp_path):
    for place in ("a", "b"):
        for season in range(3):
            write_place(tmp_path / place / f"2020{season}", seed=season)
    reader = read(tmp_path)
    assert (len(reader), reader.info.seasons) == (2, 3)
    np.testing.assert_array_equal(reader.read_images(1, 2, "s1"), arrays(seed=2)["s1.tif"])
    expected = np.stack([arrays(seed=season)["dw.tif"][0] for season in range(3)])
    np.testing.assert_array_equal(reader.read_labels(0), expected)


def test_one_modality_is_enough(tmp_path):
    write_place(tmp_path / "a")
    (tmp_path / "a" / "s1.tif").unlink()
    assert list(read(tmp_path, files={"s1": None, "s2": "s2.tif"}).info.modalities) == ["s2"]
    with pytest.raises(ValueError, match="name a file for s1 and s2"):
        read(tmp_path, files={"s3": "s2.tif"})


def test_a_selection_of_bands_is_known_by_its_names(tmp_path):
    write_place(tmp_path / "a")
    write_tif(tmp_path / "a" / "s2.tif", np.zeros((3, *SIZE), np.uint8), names=("B4", "B3", "B2"))
    stored = read(tmp_path).info.modalities["s2"]
    assert stored.bands == ("B4", "B3", "B2")
    assert stored.quantised
    with pytest.raises(ValueError, match="s2_offset=1000 is meant for raw units"):
        read(tmp_path, s2_offset=1000)


def test_the_offset_is_taken_off_and_nothing_falls_below_zero(tmp_path):
    write_place(tmp_path / "a")
    s2 = np.full((13, *SIZE), 1500, np.uint16)
    s2[0] = 400
    write_tif(tmp_path / "a" / "s2.tif", s2)
    reader = read(tmp_path, s2_offset=1000)
    image = reader.read_images(0, 0, "s2")
    assert image.dtype == np.uint16
    assert (image[0] == 0).all()
    assert (image[1:] == 500).all()
    np.testing.assert_array_equal(reader.read_images(0, 0, "s1"), arrays()["s1.tif"])


def write_without_georeference(place):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        write_place(place, crs=None, transform=None)


def test_patches_without_georeference_are_fine(tmp_path):
    write_without_georeference(tmp_path / "a")
    assert len(read(tmp_path)) == 1


def replace_file(name, array=None, **profile):
    def change(place):
        write_tif(place / name, arrays()[name] if array is None else array, **profile)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: (place / "s1.tif").unlink(), "b/s1.tif is missing"),
        (lambda place: os.truncate(place / "s1.tif", 100), "b/s1.tif cannot be read"),
        (lambda place: (place / "s1.tif").write_text("text"), "b/s1.tif cannot be read"),
        (
            replace_file("s2.tif", np.zeros((12, *SIZE), np.uint16)),
            r"b/s2.tif: it has 12 bands without names, and s2 has 13 ",
        ),
        (
            replace_file("s2.tif", np.full((3, *SIZE), 900, np.uint16), names=("B4", "B3", "B2")),
            "b/s2.tif holds bands B4 B3 B2, but B1 ",
        ),
        (
            replace_file("s2.tif", np.full((13, *SIZE), 127, np.uint8)),
            "b/s2.tif is quantised, uint8, and not so in the first",
        ),
        (replace_file("dw.tif", np.zeros((1, 6, 6), np.uint8)), "b/dw.tif and s1.tif beside it differ in size"),
        (replace_file("s2.tif", crs="EPSG:32633"), "b/s2.tif and s1.tif beside it differ in CRS: EPSG:32633"),
        (replace_file("s2.tif", transform=north_up(500003, 10)), "beside it differ in transform"),
        (replace_file("s2.tif", transform=north_up(500000, 10.1)), "beside it differ in transform"),
        (lambda place: write_place(place, size=(7, 5)), r"b/s1.tif: size \(7, 5\), but \(6, 5\) in the first"),
    ],
)
def test_what_is_wrong_with_a_place_is_named(tmp_path, change, words):
    write_place(tmp_path / "a")
    write_place(tmp_path / "b")
    change(tmp_path / "b")
    with pytest.raises(ValueError, match=words):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            replace_file("s2.tif", np.zeros((12, *SIZE), np.uint16)),
            "s2.tif: it has 12 bands without names, and s2 has 13 ",
        ),
        (replace_file("s2.tif", np.zeros((13, *SIZE), np.complex64)), "s2.tif holds complex64: s2 has to be integers"),
        (replace_file("s2.tif", np.zeros((13, *SIZE), np.int8)), "s2.tif holds int8: s2 has to be integers"),
        (replace_file("dw.tif", np.zeros((1, *SIZE), np.complex64)), "labels are one band of whole numbers"),
        (replace_file("dw.tif", np.zeros((2, *SIZE), np.uint8)), "labels are one band of whole numbers"),
    ],
)
def test_what_is_wrong_with_all_places_is_named(tmp_path, change, words):
    write_place(tmp_path / "a")
    change(tmp_path / "a")
    with pytest.raises(ValueError, match=words):
        read(tmp_path)


def test_all_problems_come_in_one_message(tmp_path):
    write_place(tmp_path / "good")
    for number in range(15):
        write_place(tmp_path / f"place{number:02d}")
        (tmp_path / f"place{number:02d}" / "s1.tif").unlink()
        (tmp_path / f"place{number:02d}" / "dw.tif").unlink()
    with pytest.raises(ValueError, match=r"(?s)place00/s1.tif.*place09/dw.tif is missing\n.*and 10 more") as caught:
        read(tmp_path)
    assert len(re.findall("is missing", str(caught.value))) == 20


def test_different_numbers_of_seasons_are_named(tmp_path):
    write_place(tmp_path / "a" / "0")
    write_place(tmp_path / "b" / "0")
    write_place(tmp_path / "b" / "1")
    with pytest.raises(ValueError, match="b holds 2 seasons, a 1"):
        read(tmp_path)


def test_empty_and_absent_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no folders: .*s1.tif, s2.tif, dw.tif"):
        read(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        read(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is no folder"):
        read(tmp_path / "file")


def test_what_is_no_number_in_an_image_has_the_mean_of_its_band_and_no_label(tmp_path):
    s1 = arrays()["s1.tif"]
    s1[1, 2, 3] = np.nan
    write_place(tmp_path / "a")
    write_tif(tmp_path / "a" / "s1.tif", s1)
    reader = read(tmp_path, truth="dw.tif")
    unknown = np.zeros(SIZE, bool)
    unknown[2, 3] = True
    expected = np.where(unknown, 255, arrays()["dw.tif"])
    np.testing.assert_array_equal(reader.read_labels(0), expected)
    np.testing.assert_array_equal(reader.read_truth(0), expected)
    image = reader.read_images(0, 0, "s1")
    np.testing.assert_allclose(image[:, 2, 3], [band.mean for band in BANDS["s1"]], rtol=1e-6)
    np.testing.assert_array_equal(image[:, ~unknown], s1[:, ~unknown])


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 3), (np.int16, -1), (np.uint16, 259)])
def test_labels_out_of_range_are_named(tmp_path, dtype, value):
    write_place(tmp_path / "a")
    labels = np.array([[[0, 255, 2, 1, value]] * 6]).astype(dtype)
    write_tif(tmp_path / "a" / "dw.tif", labels)
    with pytest.raises(ValueError, match=rf"a/dw.tif: values \[{value}\] are none of 0..2"):
        read(tmp_path).read_labels(0)


def test_a_file_that_ends_within_its_pixels_is_named(tmp_path):
    write_place(tmp_path / "a", size=(200, 200))
    file = tmp_path / "a" / "s2.tif"
    reader = read(tmp_path)
    os.truncate(file, file.stat().st_size // 2)
    with pytest.raises(ValueError, match="a/s2.tif cannot be read"):
        reader.read_images(0, 0, "s2")
    with pytest.raises(ValueError, match="no exact labels|no file of exact labels"):
        reader.read_truth(0)
