import http.server
import threading
from datetime import date

import pytest
from rasterio.warp import transform_bounds

from cromss.prepare.download.retry import Network
from cromss.prepare.download.tiles import Tile


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self)
        self.server.answer(self)

    def send(self, content, status=200, **headers):
        self.send_response(status)
        for name, value in {"Content_Length": len(content), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Clock:
    """Time that passes only in sleep."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def sleep(self, seconds):
        self.now += seconds
        self.slept.append(seconds)

    def time(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network(clock):
    return Network(3, 2, 60, 1e9, 5, sleep=clock.sleep, clock=clock.time)


@pytest.fixture
def tile():
    bounds = (500_000.0, 5_300_000.0, 500_600.0, 5_300_400.0)
    mercator = transform_bounds("EPSG:32633", "EPSG:3857", *bounds)
    return Tile("47.8_15.0-20190712", date(2019, 7, 12), "EPSG:32633", bounds, mercator, 40, 60)


@pytest.fixture
def table(tmp_path, tile):
    """The CSV of the tile, as it is published."""
    path = tmp_path / "tiles.csv"
    places = "center_lon,center_lat,bound1,bound2,bound3,bound4,height,width,bbox1,bbox2,bbox3,bbox4"
    numbers = ",".join(map(str, (*tile.bounds, tile.height, tile.width, *tile.mercator)))
    path.write_text(f"dw_id,hemisphere,biome,crs,{places}\ndw_{tile.id},1,4,32633,15.0,47.8,{numbers}\n")
    return path
