"""All of it, by the settings that stand in `conf/`."""

import csv
import sys

import numpy as np
import pytest
import requests
from omegaconf import OmegaConf

from cromss.io.package_data import config_dir
from cromss.prepare.download import sources
from cromss.prepare.download.earth_engine import Image
from cromss.prepare.download.manifest import EmptyTileError, Entry, Manifest, NoImageError, Part, Report, fetch_each
from cromss.prepare.download.sources import DOWNLOADS, download

TILES = ("a", "b", "c", "d")


def settings(*overrides):
    block = OmegaConf.load(config_dir() / "sources" / "_download.yaml")
    given = OmegaConf.from_dotlist(["network.wait_seconds=0", "network.requests_per_second=1000000", *overrides])
    return OmegaConf.to_container(OmegaConf.merge(block, given), resolve=True)


def rows(out):
    with (out / "download.csv").open(newline="") as file:
        return [tuple(row) for row in csv.reader(file)][1:]


def part(name, tmp_path, fetch):
    """A part whose files are called like it."""

    def kept(thing, target):
        detail = fetch(thing)
        target.write_text(thing)
        return detail

    return Part(name, lambda thing: tmp_path / f"{name}_{thing}", kept)


def fetch_some(thing):
    if thing == "b":
        raise NoImageError("no image")
    if thing == "c":
        raise requests.ConnectionError("no route to http://me:pw@host/?token=x")
    if thing == "d":
        raise EmptyTileError("nothing there")
    return f"of {thing}"


def run(tmp_path, fetch, again=False, others=()):
    things = {thing: thing for thing in TILES}
    return fetch_each(things, [part("x", tmp_path, fetch), *others], tmp_path / "download.csv", again)


def test_failures_do_not_stop_the_rest(tmp_path):
    report = run(tmp_path, fetch_some)
    assert rows(tmp_path) == [
        ("a", "x", "done", "of a"),
        ("b", "x", "no image", "no image"),
        ("c", "x", "failed", "no route to http://***@host/?***"),
        ("d", "x", "empty", "nothing there"),
    ]
    assert dict(report.counts) == {"done": 1, "no image": 1, "failed": 1, "empty": 1}
    with pytest.raises(ValueError, match=r"1 could not be downloaded:\n  c x: no route .*\n.*download.csv lists all"):
        report.check()


def test_what_is_known_is_not_asked_for(tmp_path):
    run(tmp_path, fetch_some)
    asked = []
    report = run(tmp_path, lambda thing: asked.append(thing) or "of it")
    assert asked == ["c"]
    assert report.skipped == 3
    report.check()
    run(tmp_path, lambda thing: asked.append(thing) or "of it", again=True)
    assert asked == ["c", "b", "d"]
    assert sorted(row[:3] for row in rows(tmp_path)) == [(thing, "x", "done") for thing in TILES]


def test_a_file_that_was_removed_comes_again(tmp_path):
    run(tmp_path, lambda thing: "of it")
    (tmp_path / "x_b").unlink()
    asked = []
    run(tmp_path, lambda thing: asked.append(thing) or "of it")
    assert asked == ["b"]


def test_without_the_first_part_the_second_is_not_asked_for(tmp_path):
    asked = []
    run(tmp_path, fetch_some, others=[part("y", tmp_path, lambda thing: asked.append(thing) or "of it")])
    assert asked == ["a"]


def test_an_interrupted_run_is_gone_on_with(tmp_path):
    def interrupted(thing):
        if thing == "b":
            raise KeyboardInterrupt
        return "of it"

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, interrupted)
    assert rows(tmp_path) == [("a", "x", "done", "of it")]
    torn = (tmp_path / "download.csv").read_text() + "b,x,do"
    (tmp_path / "download.csv").write_text(torn)
    run(tmp_path, lambda thing: "of it")
    assert [row[0] for row in rows(tmp_path)] == list(TILES)


def test_a_row_is_on_disk_at_once(tmp_path):
    path = tmp_path / "download.csv"
    path.write_text("id,part,status,detail\na,x,done,of it\nb,x,do")
    with Manifest(path) as manifest:
        manifest.add(Entry("c", "x", "done", "of it"))
        assert rows(tmp_path) == [("a", "x", "done", "of it"), ("c", "x", "done", "of it")]


def test_another_table_is_left_alone(tmp_path):
    (tmp_path / "download.csv").write_text("id,name\n1,a\n")
    with pytest.raises(ValueError, match="is no table of id, part, status, detail: move it away"):
        Manifest(tmp_path / "download.csv")
    assert (tmp_path / "download.csv").read_text() == "id,name\n1,a\n"


def test_a_report_of_many_failures_is_short(tmp_path):
    report = Report(tmp_path / "download.csv")
    for number in range(60):
        report.add(Entry(str(number), "s2", "failed", "why"))
    with pytest.raises(ValueError, match="60 could not be downloaded") as caught:
        report.check()
    assert str(caught.value).count("s2: why") == 50
    assert "… and 10 more" in str(caught.value)


class Client:
    """Earth Engine with an image of each day."""

    def __init__(self, *_):
        pass

    def images(self, sensor, tile, start, end):
        return [Image(f"{sensor.collection}/{start}", start, tile.crs)]

    def pixels(self, image_id, sensor, tile):
        shape = (len(sensor.bands), tile.height, tile.width)
        return np.arange(np.prod(shape)).reshape(shape).astype(sensor.dtype)


def test_dw_tiles_are_fetched(tmp_path, table, tile, monkeypatch):
    monkeypatch.setattr(sources, "EarthEngine", Client)
    out = tmp_path / "raw"
    options = settings(f"tiles={table}")
    report = download("dw", out, options)
    report.check()
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*")) == [
        "download.csv",
        f"s1/s1_{tile.id}.tif",
        f"s2/s2_{tile.id}.tif",
    ]
    assert rows(out) == [
        (tile.id, "s2", "done", "COPERNICUS/S2/2019-07-12"),
        (tile.id, "s1", "done", "COPERNICUS/S1_GRD/2019-07-12"),
    ]
    assert str(download("dw", out, options)) == f"nothing new, 2 known from before; {out}/download.csv lists all"


def test_archives_are_fetched(tmp_path, server):
    server.answer = lambda handler: handler.send(b"content") if "a.zip" in handler.path else handler.send(b"", 404)
    url = server.url.replace("//", "//me:pw@")
    options = settings()
    options["ssl4eo_s12"]["archives"] = [{"url": f"{url}/{name}", "sha256": None} for name in ("a.zip", "b.zip")]
    report = download("ssl4eo_s12", tmp_path / "raw", options)
    assert (tmp_path / "raw" / "a.zip").read_bytes() == b"content"
    with pytest.raises(ValueError, match=r"1 could not be downloaded:\n  b.zip archive: http://\*\*\*@.*404") as caught:
        report.check()
    assert "pw" not in str(caught.value)
    options["ssl4eo_s12"]["select"] = "a*"
    download("ssl4eo_s12", tmp_path / "raw", options).check()


def test_defaults_name_every_archive():
    archives = settings()["ssl4eo_s12"]["archives"]
    assert len({archive["url"] for archive in archives}) == len(archives) == 23


@pytest.mark.parametrize(
    ("source", "overrides", "message"),
    [
        ("folder", [], "source=folder cannot be downloaded: choose one of dw, osm, ssl4eo_s12"),
        ("dw", [], "download.tiles=… is missing: the CSV of the tiles"),
        (
            "ssl4eo_s12",
            ["ssl4eo_s12.select=x"],
            "download.ssl4eo_s12.select=x matches no archive: there are ssl4eo_s12_nol",
        ),
    ],
)
def test_mistakes_in_the_settings(tmp_path, source, overrides, message):
    with pytest.raises(ValueError, match=message):
        download(source, tmp_path, settings(*overrides))


def test_earth_engine_is_needed_by_dw_alone(tmp_path, table, monkeypatch):
    monkeypatch.setitem(sys.modules, "ee", None)
    with pytest.raises(ValueError, match=r"pip install 'cromss\[download\]'"):
        download("dw", tmp_path, settings(f"tiles={table}"))
    assert set(DOWNLOADS) == {"dw", "osm", "ssl4eo_s12"}


def test_what_a_server_answers_becomes_no_formula(tmp_path):
    entry = Entry("a", "s2", "failed", "=cmd|'/c calc'!A1")
    with Manifest(tmp_path / "download.csv") as manifest:
        manifest.add(entry)
        assert ",'=cmd" in (tmp_path / "download.csv").read_text()
    with Manifest(tmp_path / "download.csv") as manifest:
        assert manifest.get("a", "s2").detail == "'" + entry.detail
    assert (tmp_path / "download.csv").read_text().count("'=cmd") == 1
