import tarfile

import rasterio

from helpers.locations import REAL_IDS
from helpers.raw_layouts import as_tar_gz, dfc2020, ssl4eo_s12, tiles
from helpers.shared import needs_shared

pytestmark = needs_shared


def read(path):
    with rasterio.open(path) as file:
        assert file.crs.is_projected
        return file.read(), file.dtypes[0], file.transform.a


def test_layouts_hold_what_is_published(tmp_path):
    raw = ssl4eo_s12(tmp_path / "ssl4eo")
    for name, side, metres in (("B2", 264, 10), ("B8A", 132, 20), ("B10", 44, 60)):
        seasons = [read(path) for path in sorted(raw.glob(f"s2c/0012345/*/{name}.tif"))]
        assert [(image.shape, dtype, pixel) for image, dtype, pixel in seasons] == [
            ((1, side, side), "uint8", metres)
        ] * 4
        assert len({image.tobytes() for image, *_ in seasons}) == 4
    assert len(list(raw.glob("s1/*/*/V[VH].tif"))) == 3 * 4 * 2
    image, _, _ = read(next(raw.glob("labels/0012345/*/label.tif")))
    assert image.shape == (1, 264, 264)
    assert image.max() < 9
    assert len((raw / "ids.csv").read_text().splitlines()) == 4

    with tarfile.open(as_tar_gz(raw, tmp_path / "raw.tar.gz")) as packed:
        names = packed.getnames()
    assert len(names) == 3 * 4 * 15
    assert names[0].startswith("s1/0000005/")
    assert names[-1].startswith("s2c/0097132/")

    osm = tiles(tmp_path / "osm", "osm")
    for part, bands, dtype, last in (("s1", 2, "float32", None), ("s2", 13, "uint16", None), ("osm", 1, "uint8", 13)):
        files = sorted((osm / part).iterdir())
        image, found, _ = read(files[0])
        assert (len(files), image.shape, found) == (len(REAL_IDS), (bands, 510, 510), dtype)
        assert last is None or image.max() <= last

    patches = dfc2020(tmp_path / "dfc") / "validation"
    for part, bands, dtype in (("s1", 2, "float64"), ("s2", 13, "uint16"), ("dfc", 1, "uint8")):
        image, found, _ = read(patches / f"{part}_validation" / f"ROIs0000_validation_{part}_0_p1.tif")
        assert (image.shape, found) == ((bands, 256, 256), dtype)
