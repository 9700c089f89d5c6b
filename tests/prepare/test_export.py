"""A scene of the embedded world as GeoTIFFs."""

import os

import numpy as np
import pytest
import rasterio
from omegaconf import OmegaConf

from cromss.dataset.bands import BANDS
from cromss.io.package_data import config_dir
from cromss.prepare import export
from cromss.prepare.export import export_scene
from cromss.synthetic import generate_location
from helpers.preparing import prepared

SMALL = {"world": 3, "location": 1, "size": 40, "noise": 1.0}


def read(file):
    with rasterio.open(file) as source:
        return source.read(), source.profile, source.descriptions, source.tags()


def test_the_files_hold_what_the_generator_makes(tmp_path):
    prepared("action=export", f"out={tmp_path / 'new' / 'scene'}", "export.size=40", "export.world=5")
    rates = OmegaConf.to_container(OmegaConf.load(config_dir() / "dataset" / "_synthetic_scene.yaml"))
    made = generate_location(4, seed=5, size=40, seasons=1, noise=1.0, **rates)
    folder = tmp_path / "new" / "scene"
    assert sorted(file.name for file in folder.iterdir()) == ["dw.tif", "s1.tif", "s2.tif", "truth.tif"]
    for name, expected in {**{m: made.images[m][0] for m in BANDS}, "dw": made.labels, "truth": made.truth}.items():
        pixels, profile, bands, tags = read(folder / f"{name}.tif")
        np.testing.assert_array_equal(pixels, expected)
        assert pixels.dtype == expected.dtype
        assert (profile["crs"], profile["transform"]) == (export.CRS, export.TRANSFORM)
        assert profile["nodata"] == (None if name in BANDS else 255)
        assert bands == (tuple(band.name for band in BANDS[name]) if name in BANDS else ("class",))
        assert tags["LANDSCAPE"] == made.biome
    assert (read(folder / "dw.tif")[0] != read(folder / "truth.tif")[0]).any()
    assert read(folder / "truth.tif")[3]["CLASS_4"] == "crops"


def test_without_noise_the_labels_are_the_truth(tmp_path):
    export_scene(tmp_path / "scene", **SMALL | {"noise": 0.0})
    np.testing.assert_array_equal(read(tmp_path / "scene" / "dw.tif")[0], read(tmp_path / "scene" / "truth.tif")[0])


def test_what_stands_there_is_never_replaced(tmp_path):
    (tmp_path / "scene").mkdir()
    with pytest.raises(ValueError, match="scene exists"):
        export_scene(tmp_path / "scene", **SMALL)
    assert list(tmp_path.rglob("*.tif")) == []


@pytest.mark.parametrize("size", [31, 0, -1, 5000, 100.5])
def test_a_size_that_no_scene_has_is_refused_before_any_work(tmp_path, size):
    with pytest.raises(ValueError, match=r"export\.size="):
        prepared("action=export", f"out={tmp_path / 'scene'}", f"export.size={size}")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch):
    write, written = export.write_geotiff, []

    def full(target, *arguments, **named):
        if len(written) == 2:
            raise OSError(28, os.strerror(28))
        written.append(target)
        write(target, *arguments, **named)

    monkeypatch.setattr(export, "write_geotiff", full)
    with pytest.raises(OSError, match="No space"):
        export_scene(tmp_path / "scene", **SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_scene_trains_as_a_folder_does(tmp_path):
    export_scene(tmp_path / "scenes" / "one", **SMALL)
    prepared("source=folder", f"path={tmp_path / 'scenes'}", f"out={tmp_path / 'store'}", "folder.truth=truth.tif")
    assert (tmp_path / "store" / "manifest.csv").read_text().count(",done,") == 1
