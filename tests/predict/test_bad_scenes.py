"""What cannot be mapped ends before any work, with the reason and the cure, and leaves nothing behind."""

import argparse
import platform
import resource

import numpy as np
import pytest
import rasterio.shutil
import torch

from cromss.dataset.bands import BANDS
from helpers.entrypoint import latest
from helpers.scenes import CORNER, pixels, trained, write_scene


@pytest.fixture
def refused(predict, tmp_path, capfd):
    """Runs cromss.predict and returns what it says, one line a problem; no file may have come or gone."""

    def call(*overrides):
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
        with pytest.raises(SystemExit) as end:
            predict(*latest(["out=map.tif", *overrides]))
        assert end.value.code == 1
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
        said = capfd.readouterr().err
        assert "Traceback" not in said
        return said

    return call


@pytest.fixture
def two(tmp_path):
    """A network that sees both modalities, and a scene of both."""
    trained(tmp_path / "net.ckpt", "fusion=mid")
    for modality in ("s1", "s2"):
        write_scene(tmp_path / f"{modality}.tif", pixels(modality, 64, 64))
    return ["checkpoint=net.ckpt", "s2_offset=0"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["checkpoint=null", "s1=s1.tif"], "checkpoint=… is missing"),
        ([], "a scene is missing: set s1=FILE, s2=FILE or both"),
        (["s1=s1.tif", "window=100"], "window=100 must be a multiple of 32"),
        (["s1=s1.tif", "overlap=1"], "overlap=1 must be a share of a window in [0, 0.9]"),
        (["s1=s1.tif", "batch_size=0"], "batch_size=0 must be"),
        (["s1=s1.tif", "align=off"], "align=off must be true or false"),
        (["s1=s1.tif", "precision=half"], "precision=half must be one of float32, bfloat16"),
        (["s1=s1.tif", "device=tpu"], "device=tpu must be auto, cpu, cuda"),
        (["s1=s1.tif", "device=cuda:99"], "set device=cpu"),
        (["s1=s1.tif", "s2_offset=some"], "s2_offset=some must be a whole number"),
        (["s1=s1.tif", "units.s1=feet"], "units.s1=feet must be one of auto, db"),
        (["s1=s1.tif", "units=db"], "units=db must be keys with values: s1, s2"),
        (["s1=s1.tif", "units.s2=[1]"], "units.s2=[1] must be one of auto, dn"),
        (["s1=s1.tif", "out=map.jpg"], "maps are GeoTIFFs: let it end in .tif"),
        (["s1=s1.tif", "out=nowhere/map.tif"], "there is no folder nowhere"),
        (["s1=s1.tif", "out=s1.tif", "overwrite=true"], "would write over s1.tif, which is read"),
        (["s1=nowhere.tif"], "s1=nowhere.tif does not exist"),
        (["s1=s1.tif", "branch=common"], "branch=common is none of this network's: choose one of s1, s2"),
        (["s1=s1.tif", "branch=s2"], "branch=s2 sees s2, and images of s1 are given: give s2=…"),
        (["s1=s2.tif"], "s2.tif: it has 13 bands without names, and s1 has 2 (VV VH)"),
        (["s1=s1.tif", "windw=64"], "windw"),
    ],
)
def test_settings(two, refused, overrides, message):
    assert message in refused(*two, *overrides)


def test_checkpoints(predict, refused, tmp_path):
    write_scene(tmp_path / "s1.tif", pixels("s1", 64, 64))
    assert "checkpoint=nowhere.ckpt does not exist" in refused("checkpoint=nowhere.ckpt", "s1=s1.tif")
    (tmp_path / "short.ckpt").write_bytes(b"PK\x03\x04" + bytes(100))
    assert "short.ckpt cannot be read as a checkpoint" in refused("checkpoint=short.ckpt", "s1=s1.tif")
    torch.save({"state_dict": {}, "args": argparse.Namespace()}, tmp_path / "published.ckpt")
    assert "it calls argparse.Namespace" in refused("checkpoint=published.ckpt", "s1=s1.tif")
    torch.save({"state_dict": {}}, tmp_path / "bare.ckpt")
    assert "not a checkpoint of a run of cromss" in refused("checkpoint=bare.ckpt", "s1=s1.tif")

    trained(tmp_path / "net.ckpt")
    assert "this network sees s2, and images of s1 are given: give s2=…" in refused("checkpoint=net.ckpt", "s1=s1.tif")
    content = torch.load(tmp_path / "net.ckpt", weights_only=True)
    content["config"]["fusion"]["_target_"] = "os.system"
    torch.save(content, tmp_path / "evil.ckpt")
    assert "asks to call os.system, which is no network" in refused("checkpoint=evil.ckpt", "s2=s1.tif")
    content = torch.load(tmp_path / "net.ckpt", weights_only=True)
    content["state_dict"].popitem()
    content["state_dict"].popitem()
    torch.save(content, tmp_path / "lacks.ckpt")
    assert "do not fit the network that its config describes" in refused("checkpoint=lacks.ckpt", "s2=s1.tif")


def test_an_offset_that_nobody_knows(two, refused, tmp_path):
    said = refused("checkpoint=net.ckpt", "s2=s2.tif")
    assert "does not say whether its values carry the offset of +1000" in said
    assert "set s2_offset=1000 if the values carry the offset of +1000, s2_offset=0 if not" in said


def test_another_order_of_bands(two, refused, tmp_path):
    image = pixels("s2", 64, 64)
    write_scene(tmp_path / "rgb.tif", image[[3, 2, 1]], names=["B4", "B3", "B2"])
    said = refused(*two, "s2=rgb.tif")
    assert "has no B1, B5, B6, B7, B8, B8A, B9, B10, B11, B12, which the network sees; it holds B4, B3, B2" in said
    write_scene(tmp_path / "twelve.tif", image[:12])
    assert "twelve.tif: it has 12 bands without names" in refused(*two, "s2=twelve.tif")
    names = [band.name for band in BANDS["s2"]]
    write_scene(tmp_path / "twice.tif", image, names=[*names[:12], "B11"])
    assert "twice.tif: it has B11 several times" in refused(*two, "s2=twice.tif")


def test_units(two, refused, tmp_path):
    write_scene(tmp_path / "linear.tif", (10 ** (pixels("s1", 64, 64) / 10)).astype(np.float32))
    assert "set units.s1=linear" in refused(*two, "s1=linear.tif")
    write_scene(tmp_path / "share.tif", (pixels("s2", 64, 64) / 1e4).astype(np.float32))
    assert "set units.s2=reflectance" in refused(*two, "s2=share.tif")


def test_scenes_that_do_not_lie_together(two, refused, tmp_path):
    east = (CORNER[0] + 100_000, CORNER[1])
    write_scene(tmp_path / "far.tif", pixels("s1", 64, 64), corner=east)
    said = refused(*two, "s1=far.tif", "s2=s2.tif")
    assert "do not overlap: S1 covers (500000, 5299360, 500640, 5300000) and S2 (400000, 5299360," in said
    assert "do not overlap" in refused(*two, "s1=far.tif", "s2=s2.tif", "align=true")

    write_scene(tmp_path / "shifted.tif", pixels("s1", 64, 64), corner=(CORNER[0] + 25, CORNER[1] - 10))
    said = refused(*two, "s1=shifted.tif", "s2=s2.tif")
    assert "S1 begins +2.50 px across and +1.00 px down from S2, and covers 95% of it" in said
    assert "set align=true to resample S1 to the grid of S2" in said

    write_scene(tmp_path / "bare.tif", pixels("s1", 64, 60), crs=None, corner=None)
    assert "without a CRS their position is unknown" in refused(*two, "s1=bare.tif", "s2=s2.tif", "align=true")


def test_a_folder_without_bands(two, refused, tmp_path):
    (tmp_path / "product").mkdir()
    assert "product holds no bands of s2: files named after B1 B2" in refused(*two, "s2=product")
    write_scene(tmp_path / "product" / "B02.tif", pixels("s2", 64, 64)[:1])
    assert "has no B1, B3" in refused(*two, "s2=product")


def test_a_file_that_is_damaged_half_way(two, refused, tmp_path):
    write_scene(tmp_path / "long.tif", pixels("s1", 700, 64), tiled=True, blockxsize=64, blockysize=64)
    content = (tmp_path / "long.tif").read_bytes()
    (tmp_path / "long.tif").write_bytes(content[: len(content) * 2 // 3])
    said = refused(*two, "s1=long.tif", "window=64")
    assert "long.tif cannot be read" in said


def test_a_network_that_is_not_finite(refused, tmp_path):
    trained(tmp_path / "net.ckpt", "dataset.modality=s1")
    content = torch.load(tmp_path / "net.ckpt", weights_only=True)
    content["state_dict"]["net.segmentation_head.0.bias"][3] = torch.nan
    torch.save(content, tmp_path / "net.ckpt")
    write_scene(tmp_path / "s1.tif", pixels("s1", 64, 64))
    assert "the network's output is not finite" in refused("checkpoint=net.ckpt", "s1=s1.tif")


def test_a_disk_that_is_full(two, refused, tmp_path, monkeypatch):
    (tmp_path / "map.tif").write_text("precious")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in (1000, 10_000):
        # 1,000 B are not enough for the classes, 10,000 B for what windows leave to the next.
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            said = refused(*two, "s1=s1.tif", "overwrite=true", "window=32")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "cannot write map.tif: File too large" in said
    monkeypatch.setattr("shutil.disk_usage", lambda _: argparse.Namespace(free=1000))
    assert "0 MB are free" in refused(*two, "s1=s1.tif", "overwrite=true")
    assert (tmp_path / "map.tif").read_text() == "precious"


def test_ctrl_c(two, predict, tmp_path, monkeypatch, capfd):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cromss.predict.mapping.Mapper._predicted", interrupted)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SystemExit) as end:
        predict(*two, "s1=s1.tif", "out=map.tif")
    assert end.value.code == 130
    assert "Interrupted: no map was written" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


@pytest.mark.parametrize("offset", ["-1000", "100000", "true"])
def test_an_offset_that_cannot_be_taken_off(two, refused, offset):
    assert "must be a whole number, 0 or 1000, or null" in refused(*two, "s2=s2.tif", f"s2_offset={offset}")


def test_what_is_read_is_never_written_over(two, refused, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.tif").symlink_to("s1.tif")
    (tmp_path / "hard.tif").hardlink_to(tmp_path / "s1.tif")
    (tmp_path / "list.vrt").write_bytes(b"")
    rasterio.shutil.copy(tmp_path / "s1.tif", tmp_path / "list.vrt", driver="VRT")
    for scene, out in (
        ("s1.tif", "sub/../s1.tif"),
        ("link.tif", "s1.tif"),
        ("s1.tif", "hard.tif"),
        ("list.vrt", "s1.tif"),
    ):
        assert "which is read" in refused(*two, f"s1={scene}", f"out={out}", "overwrite=true")


def test_a_target_that_is_a_folder(two, refused, tmp_path):
    for name in ("map.tif", "map_confidence.tif", "map.png"):
        (tmp_path / name).mkdir()
        said = refused(*two, "s1=s1.tif", "overwrite=true", "confidence=true", "preview=true")
        assert f"{name} is a folder" in said
        (tmp_path / name).rmdir()


def test_a_map_that_another_process_writes(two, refused, tmp_path):
    # Process 1 always lives.
    other = tmp_path / f".map.tif.partial-{platform.node()}-1-0123abcd"
    other.mkdir()
    assert "another process is writing map.tif" in refused(*two, "s1=s1.tif")
    assert other.is_dir()


def test_a_preview_that_cannot_be_drawn_leaves_no_map(two, predict, tmp_path, monkeypatch, capfd):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("cromss.predict.mapping.write_preview", interrupted)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(SystemExit):
        predict(*two, "s1=s1.tif", "out=map.tif", "preview=true")
    assert "Interrupted: no map was written" in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_device_that_is_too_small(two, refused, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("cromss.predict.mapping.Mapper._predicted", full)
    assert "lower batch_size, then window, or set device=cpu" in refused(*two, "s1=s1.tif")


def test_a_folder_of_two_dates(two, refused, tmp_path):
    (tmp_path / "dates").mkdir()
    for number, plane in enumerate(pixels("s1", 64, 64)):
        for date in ("20200101", "20210101"):
            write_scene(tmp_path / "dates" / f"{date}_{('VV', 'VH')[number]}.tif", plane[None])
    assert "dates holds VH several times" in refused(*two, "s1=dates")


def test_files_that_tell_of_different_offsets(two, refused, tmp_path):
    (tmp_path / "mixed").mkdir()
    for number, (band, plane) in enumerate(zip(BANDS["s2"], pixels("s2", 64, 64), strict=True)):
        tags = {"PROCESSING_BASELINE": ("05.09", "02.08")[number % 2]}
        write_scene(tmp_path / "mixed" / f"{band.name}.tif", plane[None], tags=tags)
    said = refused("checkpoint=net.ckpt", "s2=mixed")
    assert "name different offsets" in said


def test_values_that_are_complex(two, refused, tmp_path):
    write_scene(tmp_path / "slc.tif", pixels("s1", 64, 64).astype(np.complex64))
    assert "slc.tif holds complex64" in refused(*two, "s1=slc.tif")


def test_a_checkpoint_of_another_version(two, refused, tmp_path):
    content = torch.load(tmp_path / "net.ckpt", weights_only=True)
    content["config"]["fusion"]["forgotten"] = 3
    torch.save(content, tmp_path / "old.ckpt")
    said = refused("checkpoint=old.ckpt", "s1=s1.tif")
    assert "in the group fusion of its config, forgotten is 3" in said
    assert "where it was written by another version, train anew" in said
