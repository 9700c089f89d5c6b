import pytest
import rasterio

from cromss.predict.block_cache import LARGEST, SMALLEST, cache_for
from cromss.predict.opening import open_scene

GRID = {"crs": "EPSG:32632", "transform": rasterio.Affine(10, 0, 4e5, 0, -10, 5.3e6)}
TILES = {"tiled": True, "blockxsize": 512, "blockysize": 512}


@pytest.mark.parametrize(
    ("side", "profile", "window", "expected"),
    [
        # A window of 256 px touches 2 x 2 tiles of 512 px, 13 bands of 2 bytes each: 26 MiB.
        (10_000, TILES, 256, SMALLEST),
        # One of 1,024 px 3 x 3: 58.5 MiB, whatever the size of the scene; but no more than there are.
        (10_000, TILES, 1024, 59),
        (50_000, TILES, 1024, 59),
        (1_000, TILES, 1024, SMALLEST),
        # A band at a time the same, as all 13 are read.
        (10_000, {**TILES, "interleave": "band"}, 1024, 59),
        # Lines of the scene: 1,025 of 10,000 px and 26 bytes.
        (10_000, {"blockysize": 1}, 1024, 255),
        (100_000, {"blockysize": 1}, 1024, LARGEST),
    ],
)
def test_the_cache_holds_what_a_window_touches(tmp_path, side, profile, window, expected):
    options = {"width": side, "height": side, "count": 13, "dtype": "uint16", "interleave": "pixel", **GRID, **profile}
    with rasterio.open(tmp_path / "s2.tif", "w", driver="GTiff", sparse_ok=True, bigtiff="yes", **options):
        pass
    with open_scene({"s2": tmp_path / "s2.tif"}, {"s2": tuple(range(13))}, {"s2": "auto"}, 0, align=False) as scene:
        assert cache_for(scene.layers, window) == expected
