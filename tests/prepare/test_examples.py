"""Real example locations, from a server on this machine in place of the real one."""

import http.server
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pooch
import pytest
import rasterio

from cromss.dataset import FolderReader
from cromss.dataset.classes import CLASSES
from cromss.prepare import examples
from cromss.prepare.examples import fetch_examples
from helpers.preparing import prepared
from helpers.scenes import pixels, write_scene

NAMES = ("38D_378R_2_3", "282D_485L_3_3", "433D_629L_3_1", "609U_541L_3_0", "637U_59R_1_3")
DW = tuple(CLASSES["dynamic_world"])


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def published(tmp_path):
    """A folder with files as they are published."""
    folder = tmp_path / "published"
    for seed, name in enumerate(NAMES):
        for part in ("S1RTC", "S2L1C", "LULC"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        write_scene(folder / "S1RTC" / f"{name}.tif", pixels("s1", 32, 32, seed))
        write_scene(folder / "S2L1C" / f"{name}.tif", pixels("s2", 32, 32, seed).clip(1, 900))
        codes = np.arange(32 * 32, dtype=np.uint8).reshape(1, 32, 32) % 10
        write_scene(folder / "LULC" / f"{name}.tif", codes)
    return folder


@pytest.fixture
def url(published):
    handler = partial(Quiet, directory=str(published))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_fetched_locations_are_read_as_folders(tmp_path, published, url):
    out = tmp_path / "examples"
    prepared("action=examples", f"out={out}", f"examples.url={url}")
    assert sorted(path.name for path in out.iterdir()) == sorted([*NAMES, "SOURCE.md"])
    for part, name in {"S1RTC": "s1", "S2L1C": "s2", "LULC": "lulc"}.items():
        assert (out / NAMES[0] / f"{name}.tif").read_bytes() == (published / part / f"{NAMES[0]}.tif").read_bytes()
    reader = FolderReader(out, {"s1": "s1.tif", "s2": "s2.tif"}, "labels.tif", None, DW, None, {})
    assert len(reader) == 5
    # Codes 0 to 9: no data, water, trees, flooded vegetation, crops, built area, bare ground, snow, cloud, rangeland.
    assert reader.read_labels(0)[0, 0, :10].tolist() == [255, 0, 1, 3, 4, 6, 7, 8, 255, 255]
    with rasterio.open(out / NAMES[0] / "labels.tif") as labels, rasterio.open(out / NAMES[0] / "s2.tif") as image:
        assert (labels.crs, labels.transform) == (image.crs, image.transform)
    told = (out / "SOURCE.md").read_text()
    assert "Apache-2.0" in told
    assert "https://github.com/IBM/terramind" in told
    assert pooch.file_hash(out / NAMES[4] / "s1.tif") in told
    with pytest.raises(ValueError, match="exists"):
        fetch_examples(out, url)


def test_without_network_one_sentence_says_so_and_nothing_is_left(tmp_path):
    with pytest.raises(ValueError, match="cannot be fetched .*: examples need the network; action=export"):
        fetch_examples(tmp_path / "examples", "http://127.0.0.1:9")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_the_server_lost_leaves_nothing(tmp_path, published, url):
    (published / "LULC" / f"{NAMES[3]}.tif").unlink()
    with pytest.raises(ValueError, match=f"LULC/{NAMES[3]}.tif cannot be fetched .*404"):
        fetch_examples(tmp_path / "examples", url)
    assert [path.name for path in tmp_path.iterdir()] == ["published"]


@pytest.mark.parametrize("right", [True, False])
def test_a_checksum_is_compared(tmp_path, published, url, monkeypatch, right):
    registry = examples._registry()
    found = pooch.file_hash(published / "S2L1C" / f"{NAMES[1]}.tif")
    registry.locations[NAMES[1]]["s2"] = found if right else "0" * 64
    monkeypatch.setattr(examples, "_registry", lambda: registry)
    if right:
        fetch_examples(tmp_path / "examples", url)
        assert f"{found} | known before" in (tmp_path / "examples" / "SOURCE.md").read_text()
    else:
        with pytest.raises(ValueError, match="has not the checksum 0000"):
            fetch_examples(tmp_path / "examples", url)
        assert not (tmp_path / "examples").exists()


def test_what_is_no_image_is_refused(tmp_path, published, url):
    (published / "S1RTC" / f"{NAMES[2]}.tif").write_text("<VRTDataset/>")
    with pytest.raises(ValueError, match="not the published ones"):
        fetch_examples(tmp_path / "examples", url)


def test_the_registry_names_every_part_of_every_location():
    registry = examples._registry()
    assert tuple(sorted(registry.locations)) == tuple(sorted(NAMES))
    assert all(set(sums) == set(registry.folders) == {"s1", "s2", "lulc"} for sums in registry.locations.values())
    assert set(registry.codes) <= set(DW)
    assert Path(examples.__file__).with_suffix(".yaml").is_file()
