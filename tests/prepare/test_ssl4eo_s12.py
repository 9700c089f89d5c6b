import shutil
import tarfile

import numpy as np
import pytest
import rasterio
from PIL import Image

from cromss.dataset.bands import BANDS
from cromss.dataset.store import open_store
from cromss.prepare.band_tiff import read_band
from cromss.prepare.ssl4eo_s12 import open_ssl4eo_s12, refine
from helpers.preparing import content, prepared, statuses
from helpers.raw_layouts import as_tar_gz, cut_short, random_ssl4eo_s12, ssl4eo_s12
from helpers.shared import needs_shared

SIZE = 24
OPTIONS = (f"ssl4eo_s12.size={SIZE}", "locations_per_shard=2", "workers=2")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Five locations, ids 100 to 128, as published, and never changed."""
    return random_ssl4eo_s12(tmp_path_factory.mktemp("raw") / "SSL4EO S12", 5, size=SIZE)


@pytest.fixture
def raw(published, tmp_path):
    """The same for tests that damage it."""
    return shutil.copytree(published, tmp_path / "raw")


@pytest.fixture(scope="module")
def store(published, tmp_path_factory):
    """The store of all five, made in one go."""
    out = tmp_path_factory.mktemp("store") / "store"
    from_folder(published, out)
    return out


def from_folder(raw, out, *more):
    prepared(
        "source=ssl4eo_s12", f"path='{raw}'", f"ssl4eo_s12.ids='{raw / 'ids.csv'}'", f"out='{out}'", *OPTIONS, *more
    )


def from_archive(archive, raw, out, *more):
    prepared(
        "source=ssl4eo_s12", f"path='{archive}'", f"ssl4eo_s12.ids='{raw / 'ids.csv'}'", f"out='{out}'", *OPTIONS, *more
    )


def pixels(file):
    with rasterio.open(file) as source:
        return source.read(1)


def band_files(raw, part, number):
    return sorted((raw / part / f"{number:07d}").glob("*/*.tif"))


def rewrite(file, change=None, **profile):
    """Writes a TIFF again, with other pixels or another profile."""
    with rasterio.open(file) as source:
        image, old = source.read(), source.profile
    image = change(image) if change else image
    count, height, width = image.shape
    profile = {**old, "count": count, "height": height, "width": width, "dtype": image.dtype, **profile}
    with rasterio.open(file, "w", **profile) as target:
        target.write(image)


def test_every_band_and_season_arrives(published, store):
    stored = open_store(store)
    assert [stored.location_id(index) for index in range(5)] == ["0000100", "0000107", "0000114", "0000121", "0000128"]
    assert stored.info.modalities["s2"].quantised
    s2_seasons = sorted((published / "s2c" / "0000114").iterdir())
    s1_seasons = sorted((published / "s1" / "0000114").iterdir())
    for season in range(4):
        image = stored.read_images(2, season, "s2")
        for position, band in enumerate(BANDS["s2"]):
            raw = pixels(s2_seasons[season] / f"{band.name}.tif")
            expected = np.asarray(Image.fromarray(raw).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
            # A grey step here and there.
            assert np.abs(image[position].astype(int) - expected).max() <= 1
        np.testing.assert_array_equal(image[3], pixels(s2_seasons[season] / "B4.tif"))
        np.testing.assert_array_equal(stored.read_images(2, season, "s1")[1], pixels(s1_seasons[season] / "VH.tif"))
        labels = pixels(published / "labels" / "0000114" / s2_seasons[season].name / "label.tif")
        np.testing.assert_array_equal(stored.read_labels(2)[season], labels)


@pytest.mark.parametrize(("side", "count"), [(132, 6), (44, 3), (132, 1)])
def test_coarse_bands_are_refined_as_by_pillow(side, count):
    planes = list(np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8))
    expected = [np.asarray(Image.fromarray(plane).resize((264, 264), Image.Resampling.BICUBIC)) for plane in planes]
    difference = np.abs(refine(planes, 264).astype(int) - expected)
    # Of noise, the worst case.
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.005


def test_labels_are_resampled_to_the_nearest(raw, tmp_path):
    for file in band_files(raw, "labels", 100):
        rewrite(file, lambda image: np.array([[[0, 8], [3, 255]]], np.uint8))
    reader = open_ssl4eo_s12(raw, None, raw / "ids.csv", SIZE, 4)
    labels = reader.read_labels(0)[0]
    assert np.unique(labels).tolist() == [0, 3, 8, 255]
    assert (labels[:12, 12:] == 8).all()


def test_where_s2_was_not_seen_there_is_no_label(raw, tmp_path):
    def blank(image):
        image[:, : image.shape[1] // 2] = 0
        return image

    files = band_files(raw, "s2c", 107)
    season = files[0].parent
    for file in season.glob("*.tif"):
        rewrite(file, blank)
    reader = open_ssl4eo_s12(raw, None, raw / "ids.csv", SIZE, 4)
    index = [reader.location_id(number) for number in range(len(reader))].index("0000107")
    before = open_ssl4eo_s12(raw, None, raw / "ids.csv", SIZE, 4)
    for number in range(4):
        before.read_images(index, number, "s2")
    labels = reader.read_labels(index)
    np.testing.assert_array_equal(before.read_labels(index), labels)
    assert sorted((labels[:, : SIZE // 2] == 255).all(axis=(1, 2)).tolist()) == [False, False, False, True]
    assert (labels[:, SIZE // 2 :] != 255).all()


def test_content_is_the_same_however_it_is_made(published, store, tmp_path):
    archive = as_tar_gz(published, tmp_path / "all.tar.gz", parts=("s1", "s2c", "labels"))
    from_archive(archive, published, tmp_path / "archive", "workers=1")
    images = as_tar_gz(published, tmp_path / "images.tar.gz", order="by_location")
    from_archive(images, published, tmp_path / "images", f"ssl4eo_s12.labels='{published / 'labels'}'")
    for job in (2, 0, 1):
        from_folder(published, tmp_path / "jobs", f"shard={job}", "shards=3")
    expected = content(store)
    assert len(expected) == 5 * 10 + 3
    for other in ("archive", "images", "jobs"):
        assert content(tmp_path / other) == expected
        assert statuses(tmp_path / other) == {f"{number:07d}": ("done", "") for number in (100, 107, 114, 121, 128)}
        # Nothing is left of the spool or of what was under way.
        names = {path.name for path in (tmp_path / other).iterdir()}
        assert names - {".lock", "plan.json", "manifest.csv"} == {
            f"{shard:05d}.{kind}" for shard in range(3) for kind in ("lmdb", "json")
        }


def test_without_a_table_the_labels_say_which_locations(published, store, tmp_path):
    prepared("source=ssl4eo_s12", f"path='{published}'", f"out={tmp_path / 'out'}", *OPTIONS)
    assert content(tmp_path / "out") == content(store)


def test_a_table_without_header_and_other_ids_than_the_archive(raw, tmp_path):
    rows = (raw / "ids.csv").read_text().splitlines()
    (raw / "ids.csv").write_text("\n".join([*rows[2:4], "7,a,b,c,d"]))
    with pytest.raises(ValueError, match=r"1 locations are not in .*\n  0000007 absent: .*holds no folder 0000007"):
        from_folder(raw, tmp_path / "out")
    archive = as_tar_gz(raw, tmp_path / "a.tar.gz", parts=("s1", "s2c", "labels"))
    from_archive(archive, raw, tmp_path / "archive", "accept_missing=true")
    found = statuses(tmp_path / "archive")
    assert {name: status for name, (status, _) in found.items()} == {
        "0000007": "absent",
        "0000107": "done",
        "0000114": "done",
    }
    assert content(tmp_path / "archive") == content(tmp_path / "out")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("id,sub1,sub2,sub3,sub4\n5,a,b,c\n", "line 2: 3 seasons, 4 are needed"),
        ("5,a,b,c,d\n0000005,a,b,c,d\n", "line 2: id 0000005 is already in line 1"),
        ("5,a,b,c,d\nx,a,b,c,d\n", "line 2: id 'x' is no number"),
        ("id,sub1,sub2,sub3,sub4\n", "holds no row"),
        ("", "holds no row"),
    ],
)
def test_bad_tables(raw, tmp_path, table, words):
    (raw / "ids.csv").write_text(table)
    with pytest.raises(ValueError, match=words):
        from_folder(raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def rename_upper(raw):
    for file in band_files(raw, "s2c", 107):
        file.rename(file.with_name(file.name.upper()))


DAMAGES = {
    "cut short": (lambda raw: cut_short(band_files(raw, "s2c", 107)[0], 300), "failed", "B1.tif cannot be read"),
    "cut at its end": (lambda raw: cut_short(band_files(raw, "s2c", 107)[3], -9), "failed", "B12.tif cannot be read"),
    "empty": (lambda raw: band_files(raw, "s1", 107)[0].write_bytes(b""), "failed", "VH.tif is empty"),
    "size": (
        lambda raw: rewrite(band_files(raw, "s2c", 107)[0], lambda image: image[:, :3]),
        "failed",
        "B1.tif is 4 x 3 px: 4 x 4 are needed",
    ),
    "dtype": (
        lambda raw: rewrite(band_files(raw, "s1", 107)[0], lambda image: image.astype("uint16")),
        "failed",
        "VH.tif has 1 bands of uint16: one band of uint8",
    ),
    "band count": (
        lambda raw: rewrite(band_files(raw, "s1", 107)[0], lambda image: np.concatenate([image, image])),
        "failed",
        "VH.tif has 2 bands of uint8",
    ),
    "CRS": (
        lambda raw: rewrite(band_files(raw, "s2c", 107)[1], crs="EPSG:32733"),
        "failed",
        "lie in different coordinate systems",
    ),
    "nodata": (
        lambda raw: rewrite(band_files(raw, "s1", 107)[0], lambda image: image * 0 + 3, nodata=3),
        "failed",
        "576 of 576 pixels have the value 3, which it declares as nodata",
    ),
    "season": (
        lambda raw: shutil.rmtree(band_files(raw, "s1", 107)[0].parent),
        "failed",
        "s1 of 0000107 has 3 seasons, not 4",
    ),
    "named season": (
        lambda raw: band_files(raw, "s2c", 107)[0].parent.rename(raw / "s2c" / "0000107" / "other"),
        "failed",
        "season 2020",
    ),
    "band": (lambda raw: band_files(raw, "s2c", 107)[0].unlink(), "failed", "B1.tif is missing; there are b10"),
    "label 9": (
        lambda raw: rewrite(band_files(raw, "labels", 107)[2], lambda image: image * 0 + 9),
        "failed",
        "values [9] are none of 0..8",
    ),
    "S1 zero": (
        lambda raw: [rewrite(file, lambda image: image * 0) for file in band_files(raw, "s1", 107)],
        "failed",
        "all pixels are 0",
    ),
    "gone": (lambda raw: shutil.rmtree(raw / "s1" / "0000107"), "absent", "holds no folder 0000107"),
    "label 255": (
        lambda raw: rewrite(band_files(raw, "labels", 107)[2], lambda image: image * 0 + 255),
        "done",
        "",
    ),
    "upper case": (rename_upper, "done", ""),
    "compressed": (lambda raw: rewrite(band_files(raw, "s2c", 107)[5], compress="deflate"), "done", ""),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_location_is_named_and_the_rest_is_stored(raw, store, tmp_path, damage):
    spoil, status, words = DAMAGES[damage]
    spoil(raw)
    from_folder(raw, tmp_path / "out", "accept_missing=true")
    found = statuses(tmp_path / "out")
    assert found["0000107"][0] == status
    assert words in found["0000107"][1]
    assert {found[name][0] for name in found if name != "0000107"} == {"done"}
    ids = [bytes(value[8:]) for (_, key), value in content(tmp_path / "out").items() if key.endswith(b"/id")]
    assert (b"0000107" in ids) == (status == "done")
    assert len(ids) == 4 + (status == "done")


def test_the_same_name_twice(raw, tmp_path):
    shutil.copytree(raw / "s1" / "0000107", raw / "s1" / "107")
    with pytest.raises(ValueError, match="holds 0000107 and 107, which mean the same id"):
        from_folder(raw, tmp_path / "out")


def test_an_archive_that_is_cut_short_keeps_what_came_before(tmp_path, caplog):
    large = random_ssl4eo_s12(tmp_path / "raw", 5, size=96)
    from_folder(large, tmp_path / "folder", "ssl4eo_s12.size=96")
    archive = as_tar_gz(large, tmp_path / "a.tar.gz", order="by_location", parts=("s1", "s2c", "labels"))
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * 0.7)])
    with pytest.raises(ValueError, match="locations are not in"):
        from_archive(archive, large, tmp_path / "out", "ssl4eo_s12.size=96")
    assert "a.tar.gz breaks off after s" in caplog.text
    found = [status for status, _ in statuses(tmp_path / "out").values()]
    assert found[0] == "done"
    assert found[-1] == "absent"
    archive.write_bytes(whole)
    from_archive(archive, large, tmp_path / "out", "ssl4eo_s12.size=96", "retry=true")
    assert content(tmp_path / "out") == content(tmp_path / "folder")


def test_what_is_no_archive(published, tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8bno archive at all")
    with pytest.raises(ValueError, match=r"a.tar.gz cannot be read as an archive .*fetch it again"):
        from_archive(tmp_path / "a.tar.gz", published, tmp_path / "out")


def test_an_archive_may_be_plain_and_hold_other_things(published, store, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for part in ("labels", "s2c", "s1"):
            archive.add(published / part, f"data/{part}")
        archive.add(published / "ids.csv", "ids.csv")
    from_archive(tmp_path / "a.tar", published, tmp_path / "out")
    assert content(tmp_path / "out") == content(store)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (("ssl4eo_s12.size=25",), "size=25 must be a multiple of 6"),
        (("ssl4eo_s12.seasons=0",), "seasons=0 must be a whole number"),
        (("path=nowhere",), "nowhere does not exist"),
        (("shard=3",), "shard=3 must be a job of several"),
        (("shard=3/3",), "shard=3/3 must be a job of several"),
        (("shard=3/9",), "5 locations make 3 shards of 2, which is fewer than jobs"),
        (("workers=0",), "workers=0 must be auto or a whole number"),
        (("locations_per_shard=0.5",), "locations_per_shard=0.5 must be"),
        (("ssl4eo_s12.labels=nowhere",), "nowhere does not exist"),
    ],
)
def test_mistakes_end_before_any_work(published, tmp_path, monkeypatch, overrides, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=words):
        from_folder(published, tmp_path / "out", *overrides)
    assert not list(tmp_path.iterdir())


def test_an_archive_wants_a_table(published, tmp_path):
    archive = as_tar_gz(published, tmp_path / "a.tar.gz", parts=("s1", "s2c", "labels"))
    with pytest.raises(ValueError, match="ids=… is missing"):
        prepared("source=ssl4eo_s12", f"path={archive}", f"out={tmp_path / 'out'}", *OPTIONS)


@needs_shared
def test_real_places_in_full_size(tmp_path):
    raw = ssl4eo_s12(tmp_path / "raw")
    prepared("source=ssl4eo_s12", f"path={raw}", f"ssl4eo_s12.ids={raw / 'ids.csv'}", f"out={tmp_path / 'folder'}")
    archive = as_tar_gz(raw, tmp_path / "a.tar.gz", parts=("s1", "s2c", "labels"))
    prepared("source=ssl4eo_s12", f"path={archive}", f"ssl4eo_s12.ids={raw / 'ids.csv'}", f"out={tmp_path / 'archive'}")
    assert content(tmp_path / "folder") == content(tmp_path / "archive")
    stored = open_store(tmp_path / "folder")
    assert stored.info.size == (264, 264)
    prepared("action=verify", f"path={tmp_path / 'folder'}")


def test_a_band_of_a_billion_pixels_is_refused_before_it_is_read():
    grid = rasterio.Affine(2, 0, 0, 0, -2, 0)
    options = {"height": 40_000, "width": 40_000, "count": 1, "dtype": "uint8", "compress": "deflate"}
    with rasterio.MemoryFile() as memory:
        with memory.open(driver="GTiff", sparse_ok=True, tiled=True, transform=grid, **options):
            pass
        content = memory.read()
    with pytest.raises(ValueError, match="B4.tif is 40000 x 40000 px, more than"):
        read_band(content, "B4.tif")


def test_a_plain_band_is_read_as_gdal_reads_it(published):
    for file in band_files(published, "s2c", 100):
        np.testing.assert_array_equal(read_band(file.read_bytes(), file.name).pixels, pixels(file))
