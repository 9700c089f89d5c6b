"""Scenes become maps through the command line."""

import signal
import time

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio.enums import ColorInterp

from cromss.dataset.bands import BANDS
from cromss.dataset.geotiff import opened
from cromss.dataset.scaling import quantise
from cromss.predict.blend import lay_windows
from cromss.predict.opening import open_scene
from helpers.scenes import CORNER, CRS, pixels, trained, write_scene
from helpers.shared import REAL_PLACES, needs_shared


def read(path):
    with rasterio.open(path) as source:
        return source.read()


def logits_of(net, modality, image):
    """What a network says of a whole scene, without windows."""
    scaled = quantise(image, modality).astype(np.float32)[None] / 255
    with torch.no_grad():
        return net({modality: torch.from_numpy(scaled)})[modality][0].numpy()


def test_a_scene_of_one_window_is_mapped_as_the_network_sees_it(predict, tmp_path):
    net = trained(tmp_path / "net.ckpt")
    image = pixels("s2", 64, 64)
    write_scene(tmp_path / "s2.tif", image)
    predict("checkpoint=net.ckpt", "s2=s2.tif", "s2_offset=0", "out=map.tif", "confidence=true", "probabilities=true")
    logits = torch.from_numpy(logits_of(net, "s2", image))
    probs = logits.softmax(dim=0)
    np.testing.assert_array_equal(read("map.tif")[0], logits.argmax(dim=0))
    np.testing.assert_allclose(read("map_confidence.tif")[0] / 250, probs.amax(dim=0), atol=0.0021)
    np.testing.assert_allclose(read("map_probabilities.tif") / 250, probs, atol=0.0021)
    assert len(np.unique(read("map.tif"))) > 1


@pytest.mark.parametrize("batch_size", [1, 3])
def test_logits_of_windows_are_blended(predict, tmp_path, batch_size):
    net = trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    image = pixels("s1", 100, 150)
    write_scene(tmp_path / "s1.tif", image)
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif", "window=64", "overlap=0.25", f"batch_size={batch_size}")
    rows, columns = lay_windows(100, 64, 16), lay_windows(150, 64, 16)
    blended = np.zeros((9, 100, 150), np.float32)
    for top, down in zip(rows.starts, rows.weights, strict=True):
        for left, across in zip(columns.starts, columns.weights, strict=True):
            window = (slice(None), slice(top, top + 64), slice(left, left + 64))
            blended[window] += logits_of(net, "s1", image[window]) * np.outer(down, across)
    np.testing.assert_array_equal(read("map.tif")[0], blended.argmax(axis=0))


def test_a_map_carries_all_that_a_gis_needs(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", 600, 520))
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    with rasterio.open("map.tif") as found, rasterio.open("s1.tif") as scene:
        assert (found.crs, found.transform, found.shape) == (scene.crs, scene.transform, scene.shape)
        assert found.crs == CRS
        assert found.nodata == 255
        assert found.colormap(1)[0] == (0x41, 0x9B, 0xDF, 255)
        assert found.colormap(1)[8] == (0xB3, 0x9F, 0xE1, 255)
        assert found.tags(1)["CLASS_8"] == "snow & ice"
        assert found.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert found.tags(ns="IMAGE_STRUCTURE")["COMPRESSION"] == "DEFLATE"
        assert found.block_shapes == [(512, 512)]
        assert found.overviews(1) == [2]
        assert found.dtypes == ("uint8",)
    assert "<Category>snow &amp; ice</Category>" in (tmp_path / "map.tif.aux.xml").read_text()


def test_pixels_that_are_unknown_in_a_modality_are_unknown_in_the_map(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "fusion=mid")
    s1, s2 = pixels("s1", 96, 96), pixels("s2", 96, 96)
    s1[0, 10:20, 30:40] = np.nan
    s2[:, 50:60, 5:9] = 0
    s2[3, 0, 0] = 0  # one dark band is no missing pixel
    write_scene(tmp_path / "s1.tif", s1)
    write_scene(tmp_path / "s2.tif", s2)
    predict("checkpoint=net.ckpt", "s1=s1.tif", "s2=s2.tif", "s2_offset=0", "out=map.tif", "window=64")
    unknown = np.zeros((96, 96), bool)
    unknown[10:20, 30:40] = unknown[50:60, 5:9] = True
    np.testing.assert_array_equal(read("map.tif")[0] == 255, unknown)


def test_declared_nodata_is_unknown(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    s1 = pixels("s1", 64, 64)
    s1[:, :5] = -9999
    write_scene(tmp_path / "s1.tif", s1, nodata=-9999)
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    np.testing.assert_array_equal(read("map.tif")[0, :6] == 255, np.repeat([[True]] * 5 + [[False]], 64, axis=1))


def test_an_offset_is_taken_off_as_metadata_say(predict, tmp_path):
    trained(tmp_path / "net.ckpt")
    image = pixels("s2", 64, 64)
    write_scene(tmp_path / "old.tif", image, tags={"PROCESSING_BASELINE": "03.01"})
    write_scene(tmp_path / "new.tif", image + 1000, tags={"PROCESSING_BASELINE": "05.09"})
    predict("checkpoint=net.ckpt", "s2=old.tif", "out=of_old.tif")
    predict("checkpoint=net.ckpt", "s2=new.tif", "out=of_new.tif")
    np.testing.assert_array_equal(read("of_old.tif"), read("of_new.tif"))


def test_bands_go_by_their_names_whatever_their_order_and_resolution(predict, tmp_path):
    net = trained(tmp_path / "net.ckpt", "dataset.bands=9")
    image = pixels("s2", 64, 64)
    names = [band.name for band in BANDS["s2"]]
    order = np.random.default_rng(3).permutation(len(names))
    write_scene(tmp_path / "mixed.tif", image[order], names=[names[i] for i in order])
    predict("checkpoint=net.ckpt", "s2=mixed.tif", "s2_offset=0", "out=map.tif")
    nine = image[[1, 2, 3, 4, 5, 6, 7, 11, 12]]
    scaled = torch.from_numpy(quantise(nine, "s2", (1, 2, 3, 4, 5, 6, 7, 11, 12)).astype(np.float32)[None] / 255)
    with torch.no_grad():
        expected = net({"s2": scaled})["s2"][0].argmax(dim=0)
    np.testing.assert_array_equal(read("map.tif")[0], expected)

    # A product: a file a band, some at 20 and 60 m, and the grid is that of the finest.
    folder = tmp_path / "S2A_MSIL1C_20200101T103421_N0208_R108_T32TPS_20200101T123456.SAFE" / "GRANULE" / "IMG_DATA"
    folder.mkdir(parents=True)
    for name, plane in zip(names, image, strict=True):
        step = 1 if name in ("B2", "B3", "B4", "B8") else 6 if name in ("B1", "B9", "B10") else 2
        padded = name.replace("B", "B0") if len(name) == 2 else name
        coarse = plane[None, :60:step, :60:step]
        write_scene(folder / f"T32TPS_20200101T103421_{padded}.tif", coarse, pixel=10 * step)
    predict("checkpoint=net.ckpt", f"s2={folder.parents[1]}", "out=product.tif")
    with rasterio.open("product.tif") as found:
        assert found.shape == (60, 60)
        assert found.transform.a == 10


@pytest.mark.parametrize(("given", "seen"), [(("s1",), ("s1",)), (("s2",), ("s2",)), (("s1", "s2"), ("s1", "s2"))])
@pytest.mark.parametrize("fusion", ["mid", "late"])
def test_a_network_of_two_modalities_maps_what_there_is(predict, tmp_path, fusion, given, seen):
    net = trained(tmp_path / "net.ckpt", f"fusion={fusion}")
    images = {modality: pixels(modality, 64, 64) for modality in ("s1", "s2")}
    for modality, image in images.items():
        write_scene(tmp_path / f"{modality}.tif", image)
    files = [f"{modality}={modality}.tif" for modality in given]
    predict("checkpoint=net.ckpt", *files, "s2_offset=0", "out=map.tif")
    scaled = {m: torch.from_numpy(quantise(i, m).astype(np.float32)[None] / 255) for m, i in images.items()}
    with torch.no_grad():
        logits = net(scaled)
    mean = torch.stack([logits[branch][0].softmax(dim=0) for branch in seen]).mean(dim=0)
    np.testing.assert_array_equal(read("map.tif")[0], mean.argmax(dim=0))


def test_s1_on_another_grid_is_resampled_when_asked(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "fusion=early")
    write_scene(tmp_path / "s2.tif", pixels("s2", 64, 64))
    # Half a pixel off, and without the lowest 20 rows.
    write_scene(tmp_path / "s1.tif", pixels("s1", 44, 64), corner=(CORNER[0] - 5, CORNER[1]))
    predict("checkpoint=net.ckpt", "s1=s1.tif", "s2=s2.tif", "s2_offset=0", "align=true", "out=map.tif")
    known = read("map.tif")[0] != 255
    assert known[:43, :63].all()
    assert not known[45:].any()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (300, 1), (33, 20)])
def test_scenes_of_any_size_are_mapped(predict, tmp_path, height, width):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", height, width))
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif", "preview=true")
    found = read("map.tif")
    assert found.shape == (1, height, width)
    assert (found < 9).all()


def test_a_scene_without_a_crs_gives_a_map_without_one(predict, tmp_path, capfd):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", 40, 40), crs=None, corner=None)
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    with opened(tmp_path / "map.tif") as found:
        assert found.crs is None
    assert "has no CRS" in capfd.readouterr().out


@needs_shared
def test_a_real_place_is_mapped_with_a_picture(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "fusion=mid")
    place = REAL_PLACES / "282D_485L_3_3"
    files = [f"s1={place}/s1.tif", f"s2={place}/s2.tif", "s2_offset=0"]
    predict("checkpoint=net.ckpt", *files, "out=map.tif", "preview=true")
    with rasterio.open("map.tif") as found, rasterio.open(place / "s2.tif") as image:
        assert (found.crs, found.transform, found.shape) == (image.crs, image.transform, image.shape)
        classes = np.unique(found.read(1))
    with Image.open("map.png") as picture:
        drawn = {tuple(colour[:3]) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3)[::7].tolist()}
        assert picture.width > picture.height
    with rasterio.open("map.tif") as found:
        assert {found.colormap(1)[c][:3] for c in classes} & drawn


def test_a_kill_leaves_nothing_and_the_same_command_starts_again(predict, mapping, tmp_path, capfd):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", 1500, 1500))
    command = ["checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif", "batch_size=1"]
    with mapping(*command) as process:
        time.sleep(0.2)
        process.send_signal(signal.SIGKILL)
    assert len(list(tmp_path.glob(".map.tif.partial-*"))) == 1
    assert not (tmp_path / "map.tif").exists()
    write_scene(tmp_path / "s1.tif", pixels("s1", 100, 100))
    predict(*command)
    assert read("map.tif").shape == (1, 100, 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif", "map.tif.aux.xml", "net.ckpt", "s1.tif"]


def test_maps_are_replaced_when_asked_and_only_then(predict, tmp_path, capfd):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", 40, 40))
    (tmp_path / "map.tif").write_text("precious")
    with pytest.raises(SystemExit):
        predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif")
    assert "map.tif exists: choose another out=…" in capfd.readouterr().err
    assert (tmp_path / "map.tif").read_text() == "precious"
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif", "overwrite=true")
    assert read("map.tif").shape == (1, 40, 40)


@pytest.mark.parametrize(
    ("height", "width", "longest", "shape"),
    [(600, 1100, 400, (200, 367)), (70, 30, 400, (70, 30)), (301, 1, 200, (151, 1))],
)
def test_a_scene_is_reduced_to_every_nth_pixel(tmp_path, height, width, longest, shape):
    image = pixels("s1", height, width)
    image[0, 0, 0] = np.nan
    path = write_scene(tmp_path / "s1.tif", image)
    with open_scene({"s1": path}, {"s1": (0, 1)}, {"s1": "auto"}, s2_offset=None, align=False) as scene:
        found = scene.reduced(longest)
    step = -(-max(height, width) // longest)
    assert found.valid.shape == shape
    assert not found.valid[0, 0]
    assert found.valid.sum() == found.valid.size - 1
    np.testing.assert_array_equal(found.images["s1"][:, 1:], image[:, ::step, ::step][:, 1:])


def test_what_s1_of_integers_does_not_cover_is_unknown(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "fusion=early")
    write_scene(tmp_path / "s2.tif", pixels("s2", 64, 64))
    write_scene(tmp_path / "s1.tif", pixels("s1", 44, 64).astype(np.int16), corner=(CORNER[0] - 5, CORNER[1]))
    predict("checkpoint=net.ckpt", "s1=s1.tif", "s2=s2.tif", "s2_offset=0", "align=true", "out=map.tif")
    known = read("map.tif")[0] != 255
    assert known[:43, :63].all()
    assert not known[45:].any()


def test_rows_that_count_northwards(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "fusion=early")
    s1, s2 = pixels("s1", 64, 64), pixels("s2", 64, 64)
    write_scene(tmp_path / "s1.tif", s1)
    write_scene(tmp_path / "s2.tif", s2)
    southwards = rasterio.Affine(10, 0, CORNER[0], 0, 10, CORNER[1] - 640)
    write_scene(tmp_path / "up.tif", s1[:, ::-1], corner=None, transform=southwards)
    predict("checkpoint=net.ckpt", "s1=s1.tif", "s2=s2.tif", "s2_offset=0", "out=map.tif")
    predict("checkpoint=net.ckpt", "s1=up.tif", "s2=s2.tif", "s2_offset=0", "align=true", "out=of_up.tif")
    np.testing.assert_array_equal(read("of_up.tif"), read("map.tif"))


@pytest.mark.parametrize("modality", ["s1", "s2"])
def test_an_alpha_band_says_what_is_known(predict, tmp_path, modality):
    trained(tmp_path / "net.ckpt", f"dataset.modality={modality}")
    image = pixels(modality, 64, 64)
    alpha = np.full((1, 64, 64), 255, image.dtype)
    alpha[0, :9] = 0
    with rasterio.open(
        tmp_path / "scene.tif",
        "w",
        driver="GTiff",
        count=len(image) + 1,
        height=64,
        width=64,
        dtype=image.dtype,
        crs=CRS,
        transform=rasterio.Affine(10, 0, CORNER[0], 0, -10, CORNER[1]),
    ) as file:
        file.colorinterp = [*file.colorinterp[: len(image)], ColorInterp.alpha]
        file.write(np.concatenate([image, alpha]))
    predict("checkpoint=net.ckpt", f"{modality}=scene.tif", "s2_offset=0", "out=map.tif")
    np.testing.assert_array_equal(read("map.tif")[0] == 255, alpha[0] == 0)


def test_coarse_bands_do_not_reach_beyond_the_fine_ones(predict, tmp_path):
    trained(tmp_path / "net.ckpt")
    image = pixels("s2", 60, 60)
    image[:, :, :33] = 0  # the swath ends within a pixel of 60 m
    (tmp_path / "s2").mkdir()
    for band, plane in zip(BANDS["s2"], image, strict=True):
        step = 6 if band.name in ("B1", "B9", "B10") else 1
        coarse = plane[None] if step == 1 else np.maximum(plane[None, ::6, ::6], plane[None, ::6, 5::6])
        write_scene(tmp_path / "s2" / f"{band.name}.tif", coarse, pixel=10 * step)
    predict("checkpoint=net.ckpt", "s2=s2", "s2_offset=0", "out=map.tif")
    np.testing.assert_array_equal((read("map.tif")[0] == 255).all(axis=0), np.arange(60) < 33)


def test_a_link_stays_and_what_it_points_to_is_the_map(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", 40, 40))
    (tmp_path / "maps").mkdir()
    (tmp_path / "latest.tif").symlink_to("maps/today.tif")
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=latest.tif")
    assert (tmp_path / "latest.tif").is_symlink()
    assert read("maps/today.tif").shape == (1, 40, 40)


def test_statistics_of_a_map_that_is_replaced_go_with_it(predict, tmp_path):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    write_scene(tmp_path / "s1.tif", pixels("s1", 40, 40))
    for name in ("map_confidence.tif", "map_confidence.tif.aux.xml"):
        (tmp_path / name).write_text("of yesterday")
    predict("checkpoint=net.ckpt", "s1=s1.tif", "out=map.tif", "confidence=true", "overwrite=true")
    assert not (tmp_path / "map_confidence.tif.aux.xml").exists()
