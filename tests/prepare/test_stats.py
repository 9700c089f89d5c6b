import json
import re
import sys

import numpy as np
import pytest
import rasterio

from cromss.dataset.bands import BANDS
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.scaling import quantise
from cromss.dataset.store import open_store
from cromss.dataset.store_writer import StoreWriter
from cromss.prepare.stats import measure
from cromss.prepare.stats_page import class_colours, page, stats
from cromss.prepare.tallies import BandTally, Examples, MapTally, NoiseTally
from helpers.stores import random_location, small_info, write_store


def test_what_is_measured_agrees_with_what_the_writer_kept(tmp_path):
    store = open_store(write_store(tmp_path / "store", small_info(has_truth=True), seeds=range(4)))
    found = measure(tmp_path / "store", "nol")
    for modality, bands in found.bands.items():
        kept = store.info.statistics[modality]
        np.testing.assert_allclose([band["mean"] for band in bands], kept["mean"], rtol=1e-12)
        np.testing.assert_allclose([band["std"] for band in bands], kept["std"], rtol=1e-12)
    unlabelled = found.labels.pop("unlabelled_share")
    assert found.labels == store.info.statistics["labels"]
    every = np.stack([store.read_labels(index) for index in range(4)])
    assert unlabelled == pytest.approx((every == 255).mean())


def test_measures_what_numpy_finds_in_all_values_together(tmp_path):
    info = small_info(has_truth=True)
    found = measure(write_store(tmp_path / "store", info, seeds=range(4)), "nol")
    locations = [random_location(info, seed) for seed in range(4)]
    red = np.stack([location["images"]["s2"][:, 0] for location in locations]).astype(np.float64)
    band = found.bands["s2"][0]
    expected = {"mean": red.mean(), "std": red.std(), "min": red.min(), "max": red.max()}
    assert {key: band[key] for key in expected} == pytest.approx(expected)
    assert (band["raw_mean"], band["published_mean"]) == (band["mean"], BANDS["s2"][3].mean)
    labels, truth = (np.stack([location[key] for location in locations]) for key in ("labels", "truth"))
    both = (labels != 255) & (truth != 255)
    assert found.noise["share"] == pytest.approx((labels != truth)[both].mean())
    assert found.noise["by_label"][1] == pytest.approx((truth != 1)[both & (labels == 1)].mean())
    assert found.noise["by_truth"][2] == pytest.approx((labels != 2)[both & (truth == 2)].mean())


def test_quantised_bands_are_given_in_raw_units_up_to_a_step():
    vv = np.random.default_rng(0).normal(-12, 3, (64, 64))
    tally = BandTally("s1", "VV", quantised=True)
    tally.add(quantise(np.stack([vv, vv]), "s1")[0])
    band = tally.as_dict()
    step = 4 * BANDS["s1"][0].std / 255
    assert vv.mean() - step <= band["raw_mean"] <= vv.mean()
    assert band["raw_std"] == pytest.approx(vv.std(), abs=step)
    unknown = BandTally("s2", "thermal", quantised=True)
    unknown.add(np.ones(3, np.uint8))
    assert (unknown.as_dict()["mean"], unknown.as_dict()["raw_mean"]) == (1, None)


def test_pixels_that_are_not_finite_are_counted_and_left_out():
    tally = BandTally("s1", "VV", quantised=False)
    tally.add(np.full((2, 2), np.nan))
    assert (tally.as_dict()["mean"], tally.as_dict()["nan_share"]) == (None, 1)
    tally.add(np.array([[0.0, 4.0], [np.inf, 2.0]]))
    band = tally.as_dict()
    assert (band["mean"], band["min"], band["max"]) == (2, 0, 4)
    assert (band["nan_share"], band["zero_share"]) == (5 / 8, 1 / 8)


def test_examples_are_the_locations_with_most_pixels_of_a_class():
    examples = Examples(num_classes=2, most=2)
    for index, pixels in enumerate((1, 3, 2, 3)):
        labels = np.full((2, 2, 2), 255, np.uint8)
        labels[1].flat[:pixels] = 0
        examples.add(index, labels)
    assert examples.found() == [[(1, 1), (3, 1)], []]


def test_locations_are_counted_by_degree():
    tally = MapTally()
    # UTM zone 33: its central meridian, 15 degrees east, lies at x = 500 km.
    grid = {"crs": rasterio.crs.CRS.from_epsg(32633), "transform": rasterio.Affine(10, 0, 500_200, 0, -10, 5_000_200)}
    tally.add(grid, (40, 40))
    tally.add(grid, (40, 40))
    tally.add(None, (40, 40))
    assert tally.as_list() == [[15.5, 45.5, 2]]


def test_no_noise_where_nothing_is_labelled():
    noise = NoiseTally(2)
    noise.add(np.full((3, 3), 255, np.uint8), np.zeros((3, 3), np.uint8))
    assert noise.as_dict() == {"share": 0, "by_label": [0, 0], "by_truth": [0, 0], "confusion": [[0, 0], [0, 0]]}


def test_the_page_stands_alone_and_names_what_is_not_known(tmp_path):
    store = write_store(tmp_path / "a<b", small_info(has_truth=True))
    (tmp_path / "out").mkdir()
    text = stats(store, "nol", tmp_path / "out")
    assert re.search(r"^trees +\d+ +\d+\.\d\d%", text, re.MULTILINE)
    html = (tmp_path / "out" / "index.html").read_text()
    assert html.count("data:image/png;base64,") == 2
    assert "Coordinates are not known" in html
    assert "a&lt;b" in html
    assert "a<b" not in html
    assert not re.findall(r"(?:src|href)=\"(?!data:)|url\(", html)
    assert json.loads((tmp_path / "out" / "stats.json").read_text())["locations"] == 3


class Located:
    """A store that knows where its locations lie."""

    def __init__(self, store):
        self.store = store

    def __getattr__(self, name):
        return getattr(self.store, name)

    def __len__(self):
        return len(self.store)

    def grid(self, index):
        return {"crs": "EPSG:4326", "transform": rasterio.Affine(1e-4, 0, -60 + index, 0, -1e-4, 3)}


def test_known_coordinates_make_a_map(tmp_path, monkeypatch):
    reader = Located(open_store(write_store(tmp_path / "store")))
    # By name the package gives the function `stats`, where it offers that.
    monkeypatch.setattr(sys.modules[measure.__module__], "open_dataset", lambda path, kind: reader)
    found = measure(tmp_path / "store", "nol")
    assert found.cells == [[-59.5, 2.5, 1], [-58.5, 2.5, 1], [-57.5, 2.5, 1]]
    assert page(found, reader).count("data:image/png;base64,") == 3


@pytest.mark.parametrize("modalities", [{"s2": ("B4", "B8")}, {"s1": ("VV", "VH")}, {"s2": ("thermal",)}])
def test_datasets_without_red_green_and_blue_have_a_page(tmp_path, modalities):
    stored = {name: ModalityInfo(bands, "uint8", quantised=True) for name, bands in modalities.items()}
    store = write_store(tmp_path / "store", DatasetInfo(stored, ("x", "y"), 1, (8, 8)))
    assert str(tmp_path) in stats(store, "nol", tmp_path / "out")


def test_a_dataset_without_any_label_has_a_page(tmp_path):
    info = small_info()
    with StoreWriter(tmp_path / "store", info, {}, overwrite=False) as writer:
        location = random_location(info)
        writer.add(**location | {"labels": np.full_like(location["labels"], 255)})
    stats(tmp_path / "store", "nol", tmp_path / "out")
    assert "No pixel has a label" in (tmp_path / "out" / "index.html").read_text()


def test_colours_are_those_of_the_label_set():
    assert class_colours(("water", "forest"))[0] == "#419bdf"
    assert class_colours(("x", "y")) == ["#464646", "#dcdcdc"]


def test_what_cannot_be_measured_is_named(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        stats(tmp_path / "none", "nol", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is a file: give a folder"):
        stats(write_store(tmp_path / "store"), "nol", tmp_path / "file")
