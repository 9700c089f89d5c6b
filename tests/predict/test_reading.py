"""Scenes are mapped by what their files say: names, offset, units, holes, and where they lie."""

import signal

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.control import GroundControlPoint

from cromss.dataset.bands import BANDS
from cromss.dataset.geotiff import opened
from cromss.io.package_data import config_dir
from cromss.predict.opening import check_values, open_scene
from cromss.synthetic.reader import SyntheticReader
from helpers.scenes import CORNER, pixels, trained, write_scene

NAMES = [band.name for band in BANDS["s2"]]
STAC = [
    "coastal",
    "blue",
    "green",
    "red",
    "rededge1",
    "rededge2",
    "rededge3",
    "nir",
    "nir08",
    "nir09",
    "cirrus",
    "swir16",
    "swir22",
]
AUTO = {"s1": "auto", "s2": "auto"}
PRODUCT = "S2A_MSIL1C_20230101T103421_N0509_R108_T32TPS_20230101T123456"


@pytest.fixture(scope="module")
def world():
    """One location of the embedded world, in raw units."""
    scene = yaml.safe_load((config_dir() / "dataset" / "_synthetic_scene.yaml").read_text())
    reader = SyntheticReader(locations=3, seed=0, size=64, seasons=1, noise=1.0, **scene)
    return {modality: images[0] for modality, images in reader.location(2).images.items()}


def read_scene(path, modality, s2_offset=0, units=AUTO):
    bands = tuple(range(len(BANDS[modality])))
    with open_scene({modality: path}, {modality: bands}, units, s2_offset, align=False) as scene:
        check_values(scene)
        patch = scene.read(0, 0, max(scene.size))
    return patch.images[modality], patch.valid


def map_of(tmp_path):
    with rasterio.open(tmp_path / "map.tif") as source:
        return source.read(1)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_any_names_gives_the_same_input(tmp_path, world, seed):
    random = np.random.default_rng(seed)
    for modality, styles in {
        "s1": [["VV", "VH"], ["Sigma0_VV_db", "Sigma0_VH_db"]],
        "s2": [NAMES, STAC, [f"T32UPU_20180505T103021_{name}_10m" for name in NAMES]],
    }.items():
        image = world[modality]
        expected, _ = read_scene(write_scene(tmp_path / "usual.tif", image), modality)
        order = random.permutation(len(image))
        names = [styles[random.integers(len(styles))][band] for band in order]
        extra = random.integers(len(image) + 1)
        shuffled = np.insert(image[order], extra, 40, axis=0)
        names.insert(extra, "angle")
        found, _ = read_scene(write_scene(tmp_path / "shuffled.tif", shuffled, names=names), modality)
        np.testing.assert_array_equal(found, expected)


def test_names_that_are_not_known_are_refused_before_any_work(predict, tmp_path, world, capfd):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", world["s1"], names=["HH", "HV"])
    with pytest.raises(SystemExit):
        predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    said = capfd.readouterr().err
    assert "HH (band 1), HV (band 2)" in said
    assert "VV VH" in said
    assert not (tmp_path / "map.tif").exists()


@pytest.mark.parametrize("modality", ["s1", "s2"])
def test_an_assumed_order_that_the_values_contradict_warns(tmp_path, world, caplog, modality):
    image = world[modality]
    names = [band.name for band in BANDS[modality]]
    read_scene(write_scene(tmp_path / "usual.tif", image), modality)
    read_scene(write_scene(tmp_path / "named.tif", image[::-1], names=names[::-1]), modality)
    assert not caplog.records
    read_scene(write_scene(tmp_path / "reversed.tif", image[::-1]), modality)
    assert "reversed.tif names no band" in caplog.text


def test_a_file_whose_name_and_description_differ_is_refused(tmp_path, world):
    (tmp_path / "s1").mkdir()
    for name, plane in zip(("VH", "VV"), world["s1"], strict=True):
        write_scene(tmp_path / "s1" / f"{name}.tif", plane[None], names=["VV" if name == "VH" else "VH"])
    with pytest.raises(ValueError, match=r"VH.tif is VH by its name and VV by its band description"):
        read_scene(tmp_path / "s1", "s1")


def test_a_renamed_product_without_the_offset_is_refused(tmp_path, world, caplog):
    image = world["s2"]
    with pytest.raises(ValueError, match="B10 lies below .* set s2_offset=1000 if .*, s2_offset=0 if not"):
        read_scene(write_scene(tmp_path / f"{PRODUCT}.tif", image), "s2", s2_offset=None)
    expected, _ = read_scene(tmp_path / f"{PRODUCT}.tif", "s2", s2_offset=0)
    path = write_scene(tmp_path / f"{PRODUCT}.tif", image + 1000)
    np.testing.assert_array_equal(read_scene(path, "s2", s2_offset=None)[0], expected)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    read_scene(path, "s2", s2_offset=0)
    assert "set s2_offset=1000 if they do" in caplog.text


def test_scale_and_offset_tags_are_applied(tmp_path, world):
    expected, _ = read_scene(write_scene(tmp_path / "usual.tif", world["s2"]), "s2")
    path = write_scene(tmp_path / "scaled.tif", world["s2"] + 1000)
    with rasterio.open(path, "r+") as file:
        file.scales, file.offsets = (1e-4,) * 13, (-0.1,) * 13
    np.testing.assert_allclose(read_scene(path, "s2", s2_offset=None)[0], expected, atol=0.01)
    tags = {"ScaleFactor": "0.01"}
    path = write_scene(tmp_path / "s1.tif", (world["s1"] * 100).round().astype(np.int16), tags=tags)
    np.testing.assert_allclose(read_scene(path, "s1")[0], world["s1"], atol=0.006)


def test_linear_values_are_mapped_when_the_user_tells_it(tmp_path, world):
    path = write_scene(tmp_path / "s1.tif", 10 ** (world["s1"] / 10), names=["Sigma0_VV", "Sigma0_VH"])
    with pytest.raises(ValueError, match=r"set units\.s1=linear"):
        read_scene(path, "s1")
    found, _ = read_scene(path, "s1", units={"s1": "linear"})
    np.testing.assert_allclose(found, world["s1"], atol=1e-3)


@pytest.mark.parametrize("nodata", [None, 0])
@pytest.mark.parametrize("in_folder", [False, True])
def test_zero_in_some_bands_is_dark_and_in_all_of_them_unknown(tmp_path, world, nodata, in_folder):
    image = world["s2"].copy()
    image[7, 10:30, 10:30] = 0  # a lake
    image[10] = 0
    image[:, :4] = 0  # beyond the swath
    if in_folder:
        (tmp_path / "s2").mkdir()
        for name, plane in zip(NAMES, image, strict=True):
            write_scene(tmp_path / "s2" / f"{name}.tif", plane[None], nodata=nodata)
    else:
        write_scene(tmp_path / "s2", image, nodata=nodata)
    found, known = read_scene(tmp_path / "s2", "s2")
    np.testing.assert_array_equal(known, (np.arange(64) >= 4)[:, None].repeat(64, axis=1))
    np.testing.assert_array_equal(found[:, known], image[:, known])


@pytest.mark.parametrize("value", [0, -9999, np.nan, -np.inf, np.finfo(np.float32).min])
@pytest.mark.parametrize("declared", [False, True])
def test_the_border_of_s1_is_unknown(tmp_path, world, value, declared):
    image = world["s1"].copy()
    image[:, :, :16] = value
    profile = {"nodata": value} if declared and np.isfinite(value) else {}
    _, known = read_scene(write_scene(tmp_path / "s1.tif", image, **profile), "s1")
    np.testing.assert_array_equal(known, (np.arange(64) >= 16)[None].repeat(64, axis=0))


def test_the_share_of_unknown_pixels_is_said(predict, tmp_path, world, capfd):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    image = world["s1"].copy()
    image[:, :, :16] = 0
    write_scene(tmp_path / "s1.tif", image)
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    np.testing.assert_array_equal(map_of(tmp_path) == 255, (np.arange(64) < 16)[None].repeat(64, axis=0))
    assert "25 % of the pixels are unknown" in capfd.readouterr().out


def test_the_border_of_s1_is_not_mixed_into_what_is_resampled(tmp_path, world):
    s1 = world["s1"].copy()
    s1[:, :, :16] = 0
    paths = {
        "s1": write_scene(tmp_path / "s1.tif", s1, corner=(CORNER[0] - 5, CORNER[1])),
        "s2": write_scene(tmp_path / "s2.tif", world["s2"]),
    }
    bands = {"s1": (0, 1), "s2": (3, 2, 1)}
    with open_scene(paths, bands, AUTO, 0, align=True) as scene:
        patch = scene.read(0, 0, 64)
    assert patch.images["s1"][:, patch.valid].max() <= s1[:, :, 16:].max()
    assert not patch.valid[:, :14].any()
    assert patch.valid[:, 17:62].all()


def test_a_scene_that_is_mostly_unknown_warns_and_one_of_nothing_is_refused(predict, tmp_path, world, capfd):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    image = world["s1"].copy()
    image[:, :48] = np.nan
    write_scene(tmp_path / "s1.tif", image)
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    said = capfd.readouterr().out
    assert "75 % of the pixels are unknown" in said
    assert "masks" in said
    image[:] = np.nan
    write_scene(tmp_path / "s1.tif", image)
    before = (tmp_path / "map.tif").stat().st_mtime_ns
    with pytest.raises(SystemExit):
        predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif", "overwrite=true")
    assert "no pixel of s1.tif is known" in capfd.readouterr().err
    assert (tmp_path / "map.tif").stat().st_mtime_ns == before
    assert not list(tmp_path.glob(".map*"))


def test_ground_control_points_stand_in_the_map(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    corners = [(0, 0, 10, 50), (0, 64, 10.03, 50.01), (64, 0, 10, 49.98), (64, 64, 10.03, 49.99)]
    points = [GroundControlPoint(*corner, 3.5) for corner in corners]
    write_scene(tmp_path / "s1.tif", pixels("s1", 64, 64), crs="EPSG:4326", corner=None, gcps=points)
    write_scene(tmp_path / "s2.tif", pixels("s2", 64, 64))
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    with opened(tmp_path / "map.tif") as found:
        kept, crs = found.gcps
        assert crs == "EPSG:4326"
        assert found.crs is None
    assert [(point.row, point.col, point.x, point.y, point.z) for point in kept] == [(*c, 3.5) for c in corners]
    paths = {"s1": tmp_path / "s1.tif", "s2": tmp_path / "s2.tif"}
    with (
        pytest.raises(ValueError, match="ground control points alone: orthorectify"),
        open_scene(paths, {"s1": (0, 1), "s2": (3,)}, AUTO, 0, align=True),
    ):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_signal_leaves_nothing_behind(tmp_path, mapping, number):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", 1500, 1500))
    before = sorted(path.name for path in tmp_path.iterdir())
    with mapping("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif", "batch_size=1") as process:
        assert list(tmp_path.glob(".map.tif.partial-*"))
        process.send_signal(number)
        said = process.stderr.read()
    assert f"Ended by {signal.Signals(number).name}: no map was written" in said
    assert "Traceback" not in said
    assert process.returncode == 128 + number
    assert sorted(path.name for path in tmp_path.iterdir()) == before
