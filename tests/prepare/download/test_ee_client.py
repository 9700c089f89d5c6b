"""The edge to earthengine-api: by a stand-in that notes its calls and, where it is installed, by the package itself."""

import io
import json
import sys
import types
from dataclasses import replace
from datetime import date
from unittest import mock

import numpy as np
import pytest

from cromss.prepare.download.earth_engine import EarthEngine, Image, sentinel1, sentinel2
from cromss.prepare.download.retry import RefusedError, UnreachableError

DAYS = date(2019, 7, 12), date(2019, 7, 27)
GRID = {
    "dimensions": {"width": 60, "height": 40},
    "affineTransform": {
        "scaleX": 10.0, "shearX": 0.0, "translateX": 500_000.0,
        "shearY": 0.0, "scaleY": -10.0, "translateY": 5_300_400.0,
    },
    "crsCode": "EPSG:32633",
}  # fmt: skip
# What ImageCollection.getInfo gives, less what is not read.
LISTED = {
    "type": "ImageCollection",
    "id": "COPERNICUS/S2",
    "features": [
        {
            "type": "Image",
            "id": "COPERNICUS/S2/20190714T100031_20190714T100028_T33UVP",
            "bands": [
                {
                    "id": "B1",
                    "dimensions": [1830, 1830],
                    "crs": "EPSG:4326",
                    "crs_transform": [60, 0, 4e5, 0, -60, 5e6],
                },
                {
                    "id": "B2",
                    "dimensions": [10980, 10980],
                    "crs": "EPSG:32633",
                    "crs_transform": [10, 0, 4e5, 0, -10, 5e6],
                },
            ],
            "properties": {"system:time_start": 1563098671000, "CLOUDY_PIXEL_PERCENTAGE": 3.2},
        }
    ],
}
FOUND = [Image("COPERNICUS/S2/20190714T100031_20190714T100028_T33UVP", date(2019, 7, 14), "EPSG:32633")]


@pytest.fixture
def fake(monkeypatch):
    """A stand-in for the package whose objects remember how they came about."""
    ee = mock.MagicMock()
    ee.EEException = type("EEException", (Exception,), {})
    errors = types.ModuleType("google.auth.exceptions")
    errors.GoogleAuthError = type("GoogleAuthError", (Exception,), {})
    errors.TransportError = type("TransportError", (errors.GoogleAuthError,), {})
    ee.errors = errors
    monkeypatch.setitem(sys.modules, "ee", ee)
    monkeypatch.setitem(sys.modules, "google.auth.exceptions", errors)
    return ee


def test_it_says_who_asks(fake, network):
    EarthEngine(network, "mine", "https://engine")
    fake.Initialize.assert_called_once_with(project="mine", url="https://engine")
    fake.data.setMaxRetries.assert_called_once_with(0)
    fake.data.setDeadline.assert_called_once_with(5000)


def test_images_are_listed(fake, network, tile):
    chain = fake.ImageCollection.return_value.filterBounds.return_value.filterDate.return_value.filter.return_value
    chain.sort.return_value.limit.return_value.getInfo.return_value = LISTED
    client = EarthEngine(network, None, "u")
    assert client.images(sentinel2(20), tile, *DAYS) == FOUND
    fake.Geometry.Rectangle.assert_called_once_with([500_000, 5_300_000, 500_600, 5_300_400], "EPSG:32633", False)
    fake.ImageCollection.return_value.filterBounds.return_value.filterDate.assert_called_once_with(
        "2019-07-12", "2019-07-27"
    )
    fake.Filter.lt.assert_called_once_with("CLOUDY_PIXEL_PERCENTAGE", 20)
    chain.sort.assert_called_once_with("system:time_start")


def test_pixels_come_in_the_order_of_the_bands(fake, network, tile):
    answer = np.zeros((40, 60), [("B2", "<u2"), ("B1", "<u2")])
    answer["B1"], answer["B2"] = 1, 2
    fake.data.computePixels.return_value = answer
    pixels = EarthEngine(network, None, "u").pixels("a", replace(sentinel2(20), bands=("B1", "B2")), tile)
    assert (pixels.dtype, pixels[:, 0, 0].tolist()) == (np.uint16, [1, 2])
    (request,) = fake.data.computePixels.call_args.args
    image = fake.Image.return_value.select.return_value.resample.return_value.unmask.return_value
    assert request == {
        "expression": image.toUint16.return_value,
        "fileFormat": "NUMPY_NDARRAY",
        "bandIds": ["B1", "B2"],
        "grid": GRID,
    }
    fake.Image.return_value.select.return_value.resample.assert_called_once_with("bilinear")


def test_credentials_that_are_missing(fake, network):
    fake.Initialize.side_effect = fake.EEException("Please authorize access")
    with pytest.raises(
        ValueError, match=r"Please authorize access. Run `earthengine authenticate` once, and .*project="
    ):
        EarthEngine(network, None, "u")


def test_credentials_that_ran_out(fake, network, tile):
    client = EarthEngine(network, None, "u")
    fake.data.computePixels.side_effect = fake.errors.GoogleAuthError("invalid_grant")
    with pytest.raises(RefusedError, match=r"refused \(invalid_grant\): run `earthengine authenticate` again"):
        client.pixels("a", sentinel2(20), tile)


def test_no_network(fake, network):
    fake.Initialize.side_effect = fake.errors.TransportError("no route")
    with pytest.raises(UnreachableError, match="no route. Tried 3 times"):
        EarthEngine(network, None, "u")


def test_the_package_is_missing(monkeypatch, network):
    monkeypatch.setitem(sys.modules, "ee", None)
    with pytest.raises(ValueError, match=r"pip install 'cromss\[download\]'"):
        EarthEngine(network, None, "u")


@pytest.fixture
def http(monkeypatch):
    """The real package; its requests end in this stand-in for a connection."""
    ee = pytest.importorskip("ee")
    httplib2 = pytest.importorskip("httplib2")
    testing = pytest.importorskip("ee.apitestcase")
    initialize = ee.Initialize
    monkeypatch.setattr(ee, "Initialize", lambda project, url: initialize(None, url, project=project))
    monkeypatch.setattr(ee.data, "_install_cloud_api_resource", lambda: None)
    monkeypatch.setattr(ee.data, "getAlgorithms", testing.GetAlgorithms)
    monkeypatch.setattr(ee.deprecation, "_FetchDataCatalogStac", dict)
    connection = mock.MagicMock(httplib2.Http)

    def answers(*contents):
        connection.request.side_effect = [(httplib2.Response({"status": code}), body) for code, body in contents]

    connection.answers = answers
    ee.Reset()
    with testing.UsingCloudApi(mock_http=connection):
        yield connection
    ee.Reset()


def functions(encoded):
    """Names of all functions in a request, and all its constants."""
    values = encoded["expression"]["values"]
    text = json.dumps(values)
    names = {part.split('"')[0] for part in text.split('"functionName": "')[1:]}
    constants = [json.JSONDecoder().raw_decode(part)[0] for part in text.split('"constantValue": ')[1:]]
    return names, constants


def test_the_package_lists_images(http, network, tile):
    http.answers((200, json.dumps({"result": LISTED}).encode()))
    client = EarthEngine(network, "mine", "")
    assert client.images(replace(sentinel1(), crs_band="B2"), tile, *DAYS) == FOUND
    names, constants = functions(json.loads(http.request.call_args.kwargs["body"]))
    assert {"Filter.intersects", "Filter.dateRangeContains", "Filter.equals", "Filter.listContains"} <= names
    for constant in ("COPERNICUS/S1_GRD", list(tile.bounds), "2019-07-12", "2019-07-27", "IW", "VV", "VH"):
        assert constant in constants


def test_the_package_computes_pixels(http, network, tile):
    content = io.BytesIO()
    answer = np.zeros((40, 60), [("VV", "<f4"), ("VH", "<f4")])
    answer["VV"], answer["VH"] = -12.5, -20
    np.save(content, answer)
    http.answers((200, content.getvalue()))
    pixels = EarthEngine(network, "mine", "").pixels("a", sentinel1(), tile)
    assert (pixels.shape, pixels.dtype, pixels[:, 0, 0].tolist()) == ((2, 40, 60), np.float32, [-12.5, -20])
    request = json.loads(http.request.call_args.kwargs["body"])
    assert request["grid"] == GRID
    assert request["fileFormat"] == "NPY"
    names, constants = functions(request)
    assert names == {"Image.toFloat", "Image.unmask", "Image.resample", "Image.select", "Image.load", "Image.constant"}
    assert [constant for constant in constants if constant in (["VV", "VH"], "a", "bilinear") or constant is False] == [
        ["VV", "VH"],
        "a",
        "bilinear",
        False,
    ]


@pytest.mark.parametrize(
    ("status", "tries", "error"), [(429, 3, UnreachableError), (503, 3, UnreachableError), (400, 1, RefusedError)]
)
def test_the_package_tells_what_passes(http, network, tile, status, tries, error):
    http.answers(*[(status, b'{"error": {"message": "No more of this."}}')] * 5)
    with pytest.raises(error, match=r"a: No more of this\."):
        EarthEngine(network, "mine", "").pixels("a", sentinel1(), tile)
    assert http.request.call_count == tries
