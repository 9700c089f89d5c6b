"""No file makes a program reach the network: only an address that its user named is read, and nothing beside it."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cromss.dataset.folder import FolderReader
from cromss.dataset.geotiff import NAMED_BY_USER, RASTERS, opened, opened_bytes
from cromss.predict.mapping import ahead
from helpers.network import serving, sources, vrt
from helpers.scenes import pixels, write_scene


@pytest.fixture
def server(tmp_path):
    (tmp_path / "served").mkdir()
    write_scene(tmp_path / "served" / "s1.tif", pixels("s1", 64, 64))
    with serving(tmp_path / "served") as (address, asked):
        yield f"{address}/s1.tif", asked


def elsewhere(call):
    """What a call returns in another thread, as maps are read, where the options of `rasterio.Env` do not hold."""
    return next(ahead((one() for one in [call]), 1))


def read(name, drivers=NAMED_BY_USER):
    with opened(Path(name), drivers) as source:
        return elsewhere(source.read)


def test_nothing_that_a_vrt_points_to_is_asked_for(tmp_path, server):
    address, asked = server
    for source in sources(address):
        (tmp_path / "scene").mkdir(exist_ok=True)
        inner = vrt(tmp_path / "scene" / "inner.vrt", [source], ["Float32"] * 2, (64, 64))
        outer = vrt(tmp_path / "outer.vrt", [inner], ["Float32"] * 2, (64, 64))
        with pytest.raises(ValueError, match="points into the network|cannot be read"):
            read(inner)
        with pytest.raises(ValueError, match="cannot be read"):
            read(outer)
    assert asked == []


@pytest.mark.parametrize("beside", ["{}", "{}.msk", "{}.ovr", "{}.aux.xml"])
def test_folders_and_archives_ask_for_nothing(tmp_path, server, beside):
    address, asked = server
    for place in ("a", "b"):
        (tmp_path / "in" / place).mkdir(parents=True)
        write_scene(tmp_path / "in" / place / "s1.tif", pixels("s1", 64, 64))
        write_scene(tmp_path / "in" / place / "dw.tif", np.zeros((1, 64, 64), np.uint8))
        vrt(tmp_path / "in" / place / beside.format("s1.tif"), sources(address), ["Float32"] * 2, (64, 64))
    try:
        reader = FolderReader(tmp_path / "in", {"s1": "s1.tif"}, "dw.tif", None, ["a", "b"], None, {})
    except ValueError:
        assert beside != "{}.aux.xml"
    else:
        assert elsewhere(lambda: reader.read_images(0, 0, "s1")).shape == (2, 64, 64)
        reader.read_labels(0)
    content = (tmp_path / "in" / "a" / beside.format("s1.tif")).read_bytes()
    with pytest.raises(ValueError, match="cannot be read"), opened_bytes(content, "member"):
        pass
    assert asked == []


def test_an_address_that_the_user_named_is_read_and_nothing_beside_it(server):
    address, asked = server
    for name in (address, f"/vsicurl/{address}"):
        np.testing.assert_array_equal(read(name), pixels("s1", 64, 64))
    assert {path for _, path in asked} == {"/s1.tif"}
    before = list(asked)
    with pytest.raises(ValueError, match="is no path on this computer"):
        read(address, RASTERS)
    assert asked == before


def test_a_member_of_an_archive_that_the_user_named_is_read(tmp_path, monkeypatch):
    content = write_scene(tmp_path / "s1.tif", pixels("s1", 64, 64)).read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("in/s1.tif", content)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("in/s1.tif")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    monkeypatch.chdir(tmp_path)
    for name in (
        f"/vsizip/{tmp_path}/a.zip/in/s1.tif",
        "/vsizip/a.zip/in/s1.tif",
        f"/vsitar/{tmp_path}/a.tar/in/s1.tif",
    ):
        np.testing.assert_array_equal(read(name), pixels("s1", 64, 64))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http://me:secret@127.0.0.1:1/a.tif?key=abc", r"http://\*\*\*@127.0.0.1:1/a.tif\?key=\*\*\* cannot be read"),
        ("s3://bucket/a.tif", "s3://bucket/a.tif is no path on this computer"),
        ("/vsistdin/", "is no path on this computer"),
        ("/vsizip//vsicurl/http://127.0.0.1:1/a.zip/a.tif", "is no path on this computer"),
        ("S2A.SAFE.zip", "it is an archive, which has to be unpacked first"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, monkeypatch, name, words):
    monkeypatch.chdir(tmp_path)
    zipfile.ZipFile("S2A.SAFE.zip", "w").close()
    Path("S2A.SAFE.zip").write_bytes(b"PK\3\4" + bytes(100))
    with pytest.raises(ValueError, match=words):
        read(name)
