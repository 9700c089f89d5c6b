"""The downstream tiles as a test sees them, against what the reference's readers return."""

from types import SimpleNamespace

import numpy as np
import pytest

from cromss.dataset.classes import CLASSES
from cromss.dataset.convert import convert
from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.reference import open_dataset
from cromss.smoothing import NoSmoothing
from helpers.published import published_lmdbs
from helpers.shared import PUBLISHED, needs_published

FILES = {"dw": "dw_test_lmdb", "osm": "osm_test_lmdb", "dfc2020": "DFC2020_s12_test.lmdb"}
TABLES = {"dw": "dynamic_world", "osm": "osm", "dfc2020": "dfc2020"}


def tiles(reader, kind, bands):
    """All tiles of the test set as one batch, and where the tiles lie in their padded view."""
    data = LocationDataModule(
        reader,
        reader,
        modalities=("s1", "s2"),
        bands=bands,
        classes=list(CLASSES[TABLES[kind]]),
        season=0,
        eval_season=0,
        normalisation="quantise",
        statistics="published",
        crop="auto",
        validate="centre",
        evaluate="whole",
        flip=0.0,
        rotate=0.0,
        degrees=0,
        val_fraction=0,
        split_seed=0,
        train_samples=None,
        samples_seed=0,
        smoothing=NoSmoothing(),
        batch_size=8,
        workers=0,
        seed=1,
    )
    data.trainer = SimpleNamespace(training=False, testing=True, global_rank=0, world_size=1)
    (raw,) = data.test_dataloader()
    return data.on_after_batch_transfer(raw, 0), data.test_geometry.inner(*reader.info.size)


@pytest.fixture(params=["published", "store"])
def opened(request, tmp_path):
    def call(kind):
        reader = open_dataset(PUBLISHED / FILES[kind], kind)
        if request.param == "store":
            convert(reader, tmp_path / "store", quantised=True, compression={}, overwrite=False)
            reader = open_dataset(tmp_path / "store", kind)
        return reader

    return call


@needs_published
@pytest.mark.parametrize(
    ("kind", "tile", "bands"), [("dw", -1, 13), ("dw", -1, 9), ("osm", -1, 13), ("osm", -1, 9), ("dfc2020", 0, 13)]
)
def test_tiles_are_those_of_the_reference(opened, kind, tile, bands):
    prefix, name = kind.removesuffix("2020"), "last" if tile else "first"
    with np.load(PUBLISHED / "expected.npz") as golden:
        number = golden[f"{prefix}_len"]
        expected = golden[f"{prefix}_img_{bands}b_{name}"]
        labels = golden[f"{prefix}_labels_{name}"].astype(int)
    if kind == "dfc2020":
        labels[labels == 8] = 255
    batch, (rows, columns) = tiles(opened(kind), kind, bands)
    assert len(batch.labels) == number
    image = np.concatenate([batch.images["s1"][tile], batch.images["s2"][tile]])[:, rows, columns]
    np.testing.assert_allclose(image, expected, atol=1e-6)
    np.testing.assert_array_equal(batch.labels[tile][rows, columns], labels)


def test_the_path_of_a_folder_is_reported_which_files_lie_in_it():
    with pytest.raises(ValueError, match="is no LMDB: for kind dw give the LMDB itself. There are: .*dw_test_lmdb"):
        open_dataset(published_lmdbs(), "dw")
    with pytest.raises(ValueError, match="nowhere does not exist"):
        open_dataset("nowhere", "osm")
    with pytest.raises(ValueError, match="kind 'dfc' is unknown: choose one of nol, dw, osm, dfc2020"):
        open_dataset("nowhere", "dfc")
