from datetime import date

import numpy as np
import pytest
import rasterio

from cromss.prepare.download.earth_engine import Image, fetch_image, sentinel1, sentinel2
from cromss.prepare.download.manifest import NoImageError

AFTER, BEFORE = date(2019, 7, 12), date(2019, 6, 27)


class Client:
    """Earth Engine with some images; `fill` makes their pixels."""

    def __init__(self, images, fill=None):
        self.stored, self.asked = images, []
        self.fill = fill or (lambda shape: np.arange(np.prod(shape)).reshape(shape))

    def images(self, sensor, tile, start, end):
        self.asked.append((sensor, tile, start, end))
        return [image for image in self.stored if start <= image.date < end]

    def pixels(self, image_id, sensor, tile):
        return self.fill((len(sensor.bands), tile.height, tile.width)).astype(sensor.dtype)


def images(*described):
    return [Image(name, date(2019, month, day), f"EPSG:{crs}") for name, month, day, crs in described]


def fetch(client, tile, target, sensor=None):
    return fetch_image(client, sensor or sentinel2(20), 15, tile, target)


def test_sentinel2_is_saved_on_the_grid_of_the_tile(tile, tmp_path):
    client = Client(images(("a", 7, 14, 32633)))
    target = tmp_path / "s2" / "s2_x.tif"
    assert fetch(client, tile, target) == "a"
    with rasterio.open(target) as file:
        assert (file.crs.to_string(), file.transform) == ("EPSG:32633", tile.transform)
        assert file.dtypes == ("uint16",) * 13
        assert file.descriptions[:2] + file.descriptions[7:] == ("B1", "B2", "B8", "B8A", "B9", "B10", "B11", "B12")
        assert np.array_equal(file.read(), client.fill((13, 40, 60)).astype(np.uint16))
    assert client.asked == [(sentinel2(20), tile, AFTER, date(2019, 7, 27))]
    assert (sentinel2(20).collection, sentinel2(20).crs_band) == ("COPERNICUS/S2", "B2")
    assert sentinel2(20).filters == (("lt", "CLOUDY_PIXEL_PERCENTAGE", 20),)
    assert [path.name for path in target.parent.iterdir()] == ["s2_x.tif"]


def test_sentinel1_is_asked_for_both_polarisations(tile, tmp_path):
    client = Client(images(("a", 7, 14, 32633)))
    fetch(client, tile, tmp_path / "a.tif", sentinel1())
    assert client.asked[0][0].collection == "COPERNICUS/S1_GRD"
    assert client.asked[0][0].filters == (
        ("eq", "instrumentMode", "IW"),
        ("listContains", "transmitterReceiverPolarisation", "VV"),
        ("listContains", "transmitterReceiverPolarisation", "VH"),
    )
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.dtypes, file.descriptions) == (("float32", "float32"), ("VV", "VH"))


def test_the_first_in_the_crs_of_the_tile_counts(tile, tmp_path):
    found = images(("other", 7, 13, 32632), ("first", 7, 14, 32633), ("second", 7, 15, 32633))
    assert fetch(Client(found), tile, tmp_path / "a.tif") == "first"


def test_days_before_count_only_without_one_after(tile, tmp_path):
    found = images(("before", 6, 27, 32633), ("other", 7, 13, 32632))
    client = Client(found)
    assert fetch(client, tile, tmp_path / "a.tif") == "before"
    assert [(asked[2], asked[3]) for asked in client.asked] == [(AFTER, date(2019, 7, 27)), (BEFORE, AFTER)]
    assert fetch(Client([*found, *images(("after", 7, 26, 32633))]), tile, tmp_path / "a.tif") == "after"


def test_sentinel1_may_have_another_crs(tile, tmp_path):
    found = images(("other", 7, 13, 32632), ("same", 7, 20, 32633))
    assert fetch(Client(found), tile, tmp_path / "a.tif", sentinel1()) == "same"
    assert fetch(Client(found[:1]), tile, tmp_path / "a.tif", sentinel1()) == "other"


def test_no_image(tile, tmp_path):
    found = images(("early", 6, 26, 32633), ("other", 7, 13, 32632), ("late", 7, 27, 32633))
    with pytest.raises(
        NoImageError, match="no image of COPERNICUS/S2 within 15 days of 2019-07-12, 1 in another CRS than EPSG:32633"
    ):
        fetch(Client(found), tile, tmp_path / "a.tif")


@pytest.mark.parametrize(("sensor", "needed"), [(sentinel1(), 18), (sentinel2(20), 117)])
def test_an_image_without_content_is_rejected(tile, tmp_path, sensor, needed):
    found = images(("a", 7, 14, 32633))

    def distinct(count):
        return Client(found, lambda shape: np.arange(np.prod(shape)).reshape(shape) % count)

    with pytest.raises(NoImageError, match=f"a has {needed - 1} distinct values, {needed} are needed"):
        fetch(distinct(needed - 1), tile, tmp_path / "a.tif", sensor)
    assert not (tmp_path / "a.tif").exists()
    assert fetch(distinct(needed), tile, tmp_path / "a.tif", sensor) == "a"


def test_another_shape_is_refused(tile, tmp_path):
    client = Client(images(("a", 7, 14, 32633)), lambda _: np.zeros((13, 4, 4)))
    with pytest.raises(ValueError, match=r"a came as uint16 \(13, 4, 4\), not as uint16 \(13, 40, 60\)"):
        fetch(client, tile, tmp_path / "a.tif")
