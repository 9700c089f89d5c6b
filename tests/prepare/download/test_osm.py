from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from cromss.prepare.download import wms
from cromss.prepare.download.manifest import EmptyTileError
from cromss.prepare.download.osm import Drawing, fetch_labels, find_colours, to_tile
from cromss.prepare.download.retry import RefusedError
from cromss.prepare.download.wms import MapService, read_picture

COLOURS = np.array([(255, 255, 255), *[(10 * code, 200 - 10 * code, 7) for code in range(1, 14)]], np.uint8)
CAPABILITIES = """<?xml version="1.0"?><WMT_MS_Capabilities version="1.1.1">
<Service><Name>OGC:WMS</Name><Title>t</Title></Service><Capability><Request>
<GetCapabilities><Format>application/vnd.ogc.wms_xml</Format></GetCapabilities>
<GetMap><Format>image/png</Format><Format>{format}</Format><DCPType><HTTP><Get>
<OnlineResource xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href="{url}?"/></Get></HTTP></DCPType></GetMap>
</Request><Exception><Format>application/vnd.ogc.se_xml</Format></Exception>
<Layer><Title>all</Title><SRS>EPSG:3857</SRS><Layer><Name>osmlanduse:osm_lulc</Name><Title>land use</Title>{style}
</Layer></Layer></Capability></WMT_MS_Capabilities>"""


class Wms:
    """A WMS whose map is `paint`ed by coordinates in EPSG:3857: code 1..13, or 0."""

    def __init__(self, url, paint, format="image/geotiff", style="", statuses=(), refuse=None):
        self.paint, self.statuses, self.refuse = paint, list(statuses), refuse or (lambda _: False)
        self.capabilities = CAPABILITIES.format(url=url, format=format, style=style).encode()
        self.maps = []

    def __call__(self, handler):
        query = {name.lower(): values[0] for name, values in parse_qs(urlsplit(handler.path).query).items()}
        if self.statuses:
            handler.send(b"busy", self.statuses.pop(0), Retry_After=3)
        elif query["request"] == "GetCapabilities":
            handler.send(self.capabilities, Content_Type="application/vnd.ogc.wms_xml")
        elif query["request"] == "GetLegendGraphic":
            handler.send(encoded(legend(), "PNG"), Content_Type="image/png")
        else:
            self.map(handler, query)

    def map(self, handler, query):
        self.maps.append(query)
        left, bottom, right, top = map(float, query["bbox"].split(","))
        if self.refuse((left, bottom, right, top)):
            report = b"<ServiceExceptionReport><ServiceException>Outside</ServiceException></ServiceExceptionReport>"
            handler.send(report, Content_Type="application/vnd.ogc.se_xml")
            return
        width, height = int(query["width"]), int(query["height"])
        x = left + (np.arange(width) + 0.5) * (right - left) / width
        y = top - (np.arange(height) + 0.5) * (top - bottom) / height
        codes = np.broadcast_to(self.paint(x[None], y[:, None]), (height, width))
        grid = rasterio.Affine((right - left) / width, 0, left, 0, (bottom - top) / height, top)
        handler.send(encoded(COLOURS[codes], "GTiff", crs="EPSG:3857", transform=grid), Content_Type=query["format"])


def encoded(picture, driver, **options):
    height, width, bands = picture.shape
    options.setdefault("transform", rasterio.Affine(2, 0, 0, 0, -2, 0))
    with rasterio.MemoryFile() as memory:
        with memory.open(driver=driver, height=height, width=width, count=bands, dtype="uint8", **options) as file:
            file.write(np.moveaxis(picture, -1, 0))
        return memory.read()


def legend():
    picture = np.full((13 * 20 + 8, 120, 3), 255, np.uint8)
    for code in range(1, 14):
        top = 8 + (code - 1) * 20
        picture[top : top + 12, 8:28] = COLOURS[code]
        picture[top + 2 : top + 10, 40:100:4] = 0
    return picture


@pytest.fixture
def paint(tile):
    """Forest (3) in the west, water (9) in the east, nothing in the middle."""
    left, _, right, _ = tile.mercator

    def painted(x, y):
        share = (x - left) / (right - left)
        return np.where(share < 0.4, 3, np.where(share > 0.6, 9, 0))

    return painted


def serve(server, paint, **options):
    server.answer = Wms(server.url, paint, **options)
    return server.answer


def open_service(server, network):
    return MapService(network, server.url, "osmlanduse:osm_lulc")


def drawing(**changes):
    return Drawing(**{"colours": COLOURS, "margin": 0.1, "scale": 2, "opening": 3, **changes})


def expected(tile, paint):
    """What the map says at the centres of the tile's pixels."""
    rows, columns = np.mgrid[: tile.height, : tile.width] + 0.5
    grid = tile.transform
    x, y = transform(tile.crs, "EPSG:3857", (grid.c + grid.a * columns).ravel(), (grid.f + grid.e * rows).ravel())
    return paint(np.array(x), np.array(y)).reshape(tile.height, tile.width)


def test_labels_lie_on_the_grid_of_the_tile(server, network, tile, tmp_path, paint):
    wms = serve(server, paint)
    target = tmp_path / "osm" / "osm_a.tif"
    assert fetch_labels(open_service(server, network), drawing(), tile, target) == "the box with a margin"
    with rasterio.open(target) as file:
        assert (file.crs.to_string(), file.transform, file.dtypes) == ("EPSG:32633", tile.transform, ("uint8",))
        labels = file.read(1)
    # Half a pixel of the map may lie between.
    assert (labels != expected(tile, paint)).mean() < 0.02
    assert set(np.unique(labels)) == {0, 3, 9}
    (query,) = wms.maps
    assert (query["srs"], query["layers"], query["format"]) == ("EPSG:3857", "osmlanduse:osm_lulc", "image/geotiff")
    assert (int(query["width"]), int(query["height"])) == (144, 96)
    left, bottom, right, top = map(float, query["bbox"].split(","))
    width, height = tile.mercator[2] - tile.mercator[0], tile.mercator[3] - tile.mercator[1]
    assert np.allclose([right - left, top - bottom], [1.2 * width, 1.2 * height])


def test_the_margin_covers_the_corners(server, network, tile, tmp_path):
    serve(server, lambda x, y: 5)
    fetch_labels(open_service(server, network), drawing(), tile, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.read() == 5).all()


def test_the_box_itself_where_more_is_refused(server, network, tile, tmp_path, paint):
    wms = serve(server, paint, refuse=lambda box: box[0] < tile.mercator[0] - 1)
    shown = fetch_labels(open_service(server, network), drawing(), tile, tmp_path / "a.tif")
    assert shown == "the box itself"
    assert [(query["width"], query["height"]) for query in wms.maps] == [("144", "96"), ("120", "80")]
    with rasterio.open(tmp_path / "a.tif") as file:
        assert (file.read(1) != expected(tile, paint)).mean() < 0.05


def test_narrow_areas_are_unmarked(server, network, tile, tmp_path, paint):
    middle = sum(tile.mercator[::2]) / 2
    serve(server, lambda x, y: np.where(abs(x - middle) < 10, 4, paint(x, y)))
    fetch_labels(open_service(server, network), drawing(), tile, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert set(np.unique(file.read())) == {0, 3, 9}


def test_areas_that_the_tile_cuts_narrow_are_unmarked(server, network, tile, tmp_path, paint):
    left, _, right, _ = tile.mercator
    edge = right - 2 * (right - left) / tile.width
    serve(server, lambda x, y: np.where(x > edge, 4, np.where(x < edge - 100, 3, 0)))
    fetch_labels(open_service(server, network), drawing(), tile, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        assert set(np.unique(file.read())) == {0, 3}


@pytest.mark.parametrize("phase", [0, 1])
def test_stripes_of_the_map_do_not_look_like_areas_on_the_tile(tile, tmp_path, phase):
    class Service:
        def map(self, box, height, width):
            codes = np.broadcast_to(4 * ((np.arange(width) + phase) % 2), (height, width))
            return np.concatenate([COLOURS[codes], np.full((height, width, 1), 255, np.uint8)], -1)

    with pytest.raises(EmptyTileError):
        fetch_labels(Service(), drawing(), tile, tmp_path / "a.tif")


def test_no_code_is_invented_between_two(tile):
    codes = np.where(np.indices((80, 120)).sum(axis=0) % 8 < 4, 3, 9).astype(np.uint8)
    labels = to_tile(codes, tile.mercator, tile)
    assert set(np.unique(labels[5:-5, 5:-5])) == {3, 9}
    assert labels[0, 0] in (0, 3, 9)


def test_a_tile_without_a_label(server, network, tile, tmp_path):
    serve(server, lambda x, y: 0)
    with pytest.raises(EmptyTileError):
        fetch_labels(open_service(server, network), drawing(), tile, tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_again(server, network, tile, tmp_path, paint, clock, status):
    wms = serve(server, paint)
    service = open_service(server, network)
    wms.statuses = [status, status]
    fetch_labels(service, drawing(), tile, tmp_path / "a.tif")
    assert (tmp_path / "a.tif").exists()
    pauses = [pause for pause in clock.slept if pause > 0.1]
    assert len(pauses) == 2
    assert min(pauses) >= 3


def test_a_refusal_is_reported(server, network, tile, tmp_path, paint):
    serve(server, paint, refuse=lambda _: True)
    with pytest.raises(RefusedError, match="refuses: Outside"):
        fetch_labels(open_service(server, network), drawing(), tile, tmp_path / "a.tif")


def test_plain_tiffs_will_do(server, network, paint, tile):
    wms = serve(server, paint, format="image/tiff")
    assert open_service(server, network).map(tile.mercator, 4, 6).shape == (4, 6, 4)
    assert wms.maps[0]["format"] == "image/tiff"


def test_services_that_will_not_do(server, network, paint):
    serve(server, paint, format="image/jpeg")
    with pytest.raises(ValueError, match="offers no GeoTIFF, only image/png, image/jpeg"):
        open_service(server, network)
    serve(server, paint)
    with pytest.raises(ValueError, match="download.osm.layer=other does not exist: .* has osmlanduse:osm_lulc"):
        MapService(network, server.url, "other")
    server.answer = lambda handler: handler.send(b"<html><p>Hello</html>")
    with pytest.raises(RefusedError, match="answers, but not as a WMS .*: correct download.osm.url"):
        open_service(server, network)


@pytest.mark.parametrize("advertised", [True, False])
def test_the_legend_of_the_service(server, network, paint, advertised):
    link = 'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href'
    online = f'<OnlineResource {link}="{server.url}?request=GetLegendGraphic&amp;own=1"/>'
    style = f"<Style><Name>a</Name><Title>a</Title><LegendURL><Format>image/png</Format>{online}</LegendURL></Style>"
    serve(server, paint, style=style if advertised else "")
    assert np.array_equal(find_colours(None, open_service(server, network)), COLOURS)
    assert ("own=1" in server.asked[-1].path) == advertised


def test_a_legend_of_ones_own(tmp_path):
    path = tmp_path / "legend.png"
    path.write_bytes(encoded(legend(), "PNG"))
    assert np.array_equal(find_colours(str(path), None), COLOURS)
    names = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in COLOURS]
    assert np.array_equal(find_colours(names, None), COLOURS)
    with pytest.raises(
        ValueError, match=r"the list has 13 colours, 14 are needed \(#ffffff, .*: set download.osm.legend"
    ):
        find_colours(names[:13], None)
    with pytest.raises(ValueError, match=r"legend: mauvish is no colour such as #e6004d"):
        find_colours(["mauvish"], None)
    with pytest.raises(ValueError, match=r"legend=absent.png cannot be read: No such file"):
        find_colours("absent.png", None)


def test_pictures_of_all_kinds():
    grey = np.array([[[7], [9]]], np.uint8)
    assert read_picture(encoded(grey, "PNG"), "it").tolist() == [[[7, 7, 7, 255], [9, 9, 9, 255]]]
    clear = np.array([[[1, 2, 3, 0]]], np.uint8)
    assert read_picture(encoded(clear, "PNG"), "it").tolist() == [[[1, 2, 3, 0]]]
    grid = rasterio.Affine(2, 0, 0, 0, -2, 0)
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", height=1, width=2, count=1, dtype="uint8", transform=grid) as file:
            file.write(np.array([[[1, 0]]], np.uint8))
            file.write_colormap(1, {0: (5, 6, 7, 255), 1: (8, 9, 10, 255)})
        content = memory.read()
    assert read_picture(content, "it").tolist() == [[[8, 9, 10, 255], [5, 6, 7, 255]]]
    with pytest.raises(ValueError, match="it is no picture: it begins b'<html>'"):
        read_picture(b"<html>", "it")


def test_a_picture_of_a_billion_pixels_is_refused_before_it_is_read():
    with rasterio.MemoryFile() as memory:
        options = {"height": 40_000, "width": 40_000, "count": 1, "dtype": "uint8", "compress": "deflate"}
        grid = rasterio.Affine(2, 0, 0, 0, -2, 0)
        with memory.open(driver="GTiff", sparse_ok=True, tiled=True, transform=grid, **options):
            pass
        content = memory.read()
    assert len(content) < 10**6
    with pytest.raises(ValueError, match="it has 1 bands of 40000 x 40000 px, more than"):
        read_picture(content, "it")


def test_an_answer_without_end_is_not_read_to_its_end(server, network, monkeypatch):
    monkeypatch.setattr(wms, "_MOST_BYTES", 10**6)

    class Endless(Wms):
        def map(self, handler, query):
            handler.send(bytes(10**7), Content_Type=query["format"])

    server.answer = Endless(server.url, None)
    service = open_service(server, network)
    with pytest.raises(RefusedError, match="sends more than 1000000 bytes"):
        service.map((0, 0, 1, 1), 4, 4)


def test_what_is_transparent_is_unmarked(tile, tmp_path):
    class Service:
        def map(self, box, height, width):
            picture = np.concatenate(
                [np.broadcast_to(COLOURS[2], (height, width, 3)), np.full((height, width, 1), 255)], -1
            )
            picture[: height // 2, :, 3] = 0
            return picture.astype(np.uint8)

    fetch_labels(Service(), drawing(), tile, tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as file:
        labels = file.read(1)
    assert not labels[:15].any()
    assert (labels[25:] == 2).all()
