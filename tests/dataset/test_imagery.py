"""The one opener of images and labels: what is known, in which units, and what is never opened."""

import os

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio import Affine

from cromss.dataset.bands import BANDS
from cromss.dataset.folder import FolderReader
from cromss.dataset.geotiff import NAMED_BY_USER, opened_bytes
from cromss.dataset.imagery.image import open_image
from cromss.dataset.imagery.judge import judge as judge_image
from cromss.dataset.imagery.labels import read_labels
from cromss.dataset.scaling import quantise
from helpers.shared import REAL_PLACES, needs_shared

SIZE = (40, 30)
HOLE = (slice(0, 12), slice(None))
MEANS = {modality: np.array([band.mean for band in bands]) for modality, bands in BANDS.items()}


def values(modality, seed=0, size=SIZE):
    """Values near those published, float64 ``(K, H, W)``."""
    random = np.random.default_rng(seed)
    planes = [random.normal(band.mean, band.std / 4, size) for band in BANDS[modality]]
    image = np.stack(planes)
    return image.clip(1, None).round() if modality == "s2" else image


def write(file, image, names=None, scales=None, offsets=None, tags=None, mask=None, alpha=False, **profile):
    file.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = image.shape
    grid = {"crs": "EPSG:32632", "transform": Affine(10, 0, 500_000, 0, -10, 4_000_000)}
    profile = {"count": count, "height": height, "width": width, "dtype": image.dtype, **grid, **profile}
    with rasterio.open(file, "w", driver="GTiff", **profile) as target:
        if alpha:
            target.colorinterp = [*[rasterio.enums.ColorInterp.gray] * (count - 1), rasterio.enums.ColorInterp.alpha]
        target.write(image)
        if names:
            target.descriptions = names
        if scales:
            target.scales = scales
        if offsets:
            target.offsets = offsets
        target.update_tags(**(tags or {}))
        if mask is not None:
            target.write_mask(mask)
    return file


def image_of(file, modality, units="auto", s2_offset=None, judge=True):
    with open_image(file, modality, units=units, s2_offset=s2_offset, unknown_offset=0) as image:
        if judge:
            judge_image(image)
        return *image.read(), image.dtype


def s2_with(value, dtype=np.uint16, bands=slice(None)):
    image = values("s2").astype(dtype)
    image[(bands, *HOLE)] = value
    return image


def s1_with(value, dtype=np.float32, bands=slice(None)):
    image = values("s1").astype(dtype)
    image[(bands, *HOLE)] = value
    return image


MASK = np.full(SIZE, 255, np.uint8)
MASK[HOLE] = 0
HOLES = {
    "S2, 0 declared": ("s2", s2_with(0), {"nodata": 0}),
    "S2, 0 not declared": ("s2", s2_with(0), {}),
    "S2, 32767 in all bands": ("s2", s2_with(32767, np.int16), {}),
    "S2, 65535 in all bands": ("s2", s2_with(65535), {}),
    "S2, -9999 declared, in one band": ("s2", s2_with(-9999, np.int16, 7), {"nodata": -9999}),
    "S2, -9999 not declared, in one band": ("s2", s2_with(-9999, np.int16, 7), {}),
    "S2, lowest int16": ("s2", s2_with(-32768, np.int16), {}),
    "S2, NaN in one band": ("s2", s2_with(np.nan, np.float32, 3), {}),
    "S2, mask": ("s2", s2_with(1234), {"mask": MASK}),
    "S2, uint8 of zeros": ("s2", np.where(MASK > 0, quantise(values("s2"), "s2"), 0).astype(np.uint8), {}),
    "S2, nodata in a tag of CF": ("s2", s2_with(77), {"tags": {"_FillValue": "77"}}),
    "S1, 0 dB in both bands": ("s1", s1_with(0), {}),
    "S1, 0 declared": ("s1", s1_with(0), {"nodata": 0}),
    "S1, -inf": ("s1", s1_with(-np.inf, bands=0), {}),
    "S1, -9999 not declared": ("s1", s1_with(-9999, bands=1), {}),
    "S1, NaN declared": ("s1", s1_with(np.nan), {"nodata": np.nan}),
    "S1, lowest float32": ("s1", s1_with(np.finfo("f4").min), {"nodata": float(np.finfo("f4").min)}),
    "S1, alpha": ("s1", np.concatenate([s1_with(-8), MASK[None].astype(np.float32)]), {"alpha": True}),
}


@pytest.mark.parametrize(("modality", "stored", "profile"), HOLES.values(), ids=HOLES)
def test_unknown_pixels_are_found_and_hold_the_mean(tmp_path, modality, stored, profile):
    read, known, dtype = image_of(write(tmp_path / "a.tif", stored, **profile), modality)
    np.testing.assert_array_equal(known, MASK > 0)
    mean = 127 if dtype == np.uint8 else MEANS[modality].astype(dtype)[:, None, None]
    np.testing.assert_array_equal(read[:, ~known], np.broadcast_to(mean, read.shape)[:, ~known])
    np.testing.assert_array_equal(read[:, known], stored[: len(read)][:, known])


KNOWN = {
    "S2, 0 declared and in one band: dark water": ("s2", s2_with(0, bands=7), {"nodata": 0}),
    "S2, 0 declared and in B10 everywhere": (
        "s2",
        np.where(np.arange(13)[:, None, None] == 10, 0, values("s2")),
        {"nodata": 0},
    ),
    "S2, 0 in one band, not declared": ("s2", s2_with(0, bands=7), {}),
    "S2, saturated in one band": ("s2", s2_with(65535, bands=11), {}),
    "S2, an alpha band with the name of a band": (
        "s2",
        values("s2")[[3, 2, 1, 7]],
        {"names": ("B4", "B3", "B2", "B8"), "alpha": True},
    ),
    "S1, 0 dB in VV": ("s1", s1_with(0, bands=0), {}),
    "S1, uint8 of zeros: dark water": ("s1", np.where(MASK > 0, quantise(values("s1"), "s1"), 0).astype(np.uint8), {}),
}


@pytest.mark.parametrize(("modality", "stored", "profile"), KNOWN.values(), ids=KNOWN)
def test_values_that_can_be_measured_are_known(tmp_path, modality, stored, profile):
    stored = stored.astype(np.uint16) if modality == "s2" and stored.dtype != np.uint8 else stored
    read, known, _ = image_of(write(tmp_path / "a.tif", stored, **profile), modality)
    assert known.all()
    np.testing.assert_array_equal(read, stored)


REFLECTANCE = (values("s2") / 1e4).astype(np.float32)
LINEAR = (10 ** (values("s1") / 10)).astype(np.float32)
OTHER_UNITS = {
    "S2 in 0..1": ("s2", REFLECTANCE, "reflectance"),
    "S2 in percent": ("s2", REFLECTANCE * 100, "percent"),
    "S2 in percent, uint8": ("s2", (REFLECTANCE * 100).round().astype(np.uint8), "percent"),
    "S1, linear": ("s1", LINEAR, "linear"),
    "S1, amplitude": ("s1", np.sqrt(LINEAR), "amplitude"),
    "S1, dB x 100": ("s1", (values("s1") * 100).round().astype(np.int16), "db_100"),
}


def with_odd_pixels(image):
    """A few pixels as no other: sunglint, noise, an undeclared sentinel."""
    image = image.copy()
    image[:, 3, 3] = 60 if image.dtype == np.uint8 else -1e-4 if image.dtype.kind == "f" else -3
    image[0, 5, 5] = 5
    if image.dtype.kind != "u":
        image[:, 6, 6] = -9999
    return image


@pytest.mark.parametrize("change", [lambda image: image, with_odd_pixels], ids=["plain", "odd pixels"])
@pytest.mark.parametrize(("modality", "stored", "units"), OTHER_UNITS.values(), ids=OTHER_UNITS)
def test_other_units_are_refused_and_converted_once_they_are_reported(tmp_path, modality, stored, units, change):
    file = write(tmp_path / "a.tif", change(stored))
    with pytest.raises(ValueError, match=rf"a\.tif: values of 1 % .*set units\.{modality}="):
        image_of(file, modality)
    read, known, dtype = image_of(file, modality, units)
    assert dtype == np.float32
    assert known.mean() > 0.99
    tolerance = 60 if stored.dtype == np.uint8 else 0.6
    assert np.median(np.abs(read - values(modality))[:, known]) < tolerance


@pytest.mark.parametrize(
    ("modality", "stored"),
    [
        ("s2", (values("s2") - MEANS["s2"][:, None, None]) / 1000),
        ("s2", (values("s2") * 10)),
        ("s1", (values("s1") - MEANS["s1"][:, None, None]) / 5),
        ("s1", 10 ** (values("s1") / 20) * 1000),
    ],
    ids=["standardised S2", "S2 x 10", "standardised S1", "S1 amplitudes of no calibration"],
)
def test_values_in_no_known_units_are_refused(tmp_path, modality, stored):
    with pytest.raises(ValueError, match="fits none of"):
        image_of(write(tmp_path / "a.tif", stored.astype(np.float32)), modality)


def test_values_that_were_scaled_twice_are_refused(tmp_path):
    with pytest.raises(ValueError, match="fits none of"):
        image_of(write(tmp_path / "s2.tif", REFLECTANCE, scales=(1e-4,) * 13), "s2")


def test_a_sparse_image_of_terabytes_is_refused_at_once(tmp_path):
    for modality, dtype in (("s2", "uint16"), ("s1", "float32")):
        file = tmp_path / "a" / f"{modality}.tif"
        file.parent.mkdir(exist_ok=True)
        profile = {"count": len(BANDS[modality]), "width": 300_000, "height": 300_000, "dtype": dtype}
        tiled = {"tiled": True, "blockxsize": 4096, "blockysize": 4096, "SPARSE_OK": "TRUE", "BIGTIFF": "YES"}
        grid = {"crs": "EPSG:32632", "transform": Affine(10, 0, 500_000, 0, -10, 4_000_000)}
        rasterio.open(file, "w", driver="GTiff", **grid, **profile, **tiled).close()
    with pytest.raises(ValueError, match=r"s2\.tif has 300000 x 300000 px"):
        folder_reader(tmp_path, labels="s1.tif")


def stretched(image, low, high):
    return ((image - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


@needs_shared
@pytest.mark.parametrize("place", ["282D_485L_3_3", "609U_541L_3_0", "637U_59R_1_3"])
def test_eight_bits_that_are_not_quantised_are_refused(tmp_path, place):
    with rasterio.open(REAL_PLACES / place / "s2.tif") as source:
        image = source.read()
    low, high = np.percentile(image.reshape(13, -1), (2, 98), axis=1)[..., None, None]
    image_of(write(tmp_path / "quantised.tif", quantise(image, "s2")), "s2")
    for number, grey in enumerate([stretched(image, low, high), *(stretched(image, 0, top) for top in (3000, 10000))]):
        with pytest.raises(ValueError, match="fits none of"):
            image_of(write(tmp_path / f"{number}.tif", grey), "s2")
        image_of(tmp_path / f"{number}.tif", "s2", units="quantised")


def test_told_units_that_the_values_contradict_are_refused(tmp_path):
    with pytest.raises(ValueError, match="seems to be reflectance x 10000"):
        image_of(write(tmp_path / "a.tif", values("s2").astype(np.uint16)), "s2", "reflectance")


@needs_shared
@pytest.mark.parametrize("place", ["282D_485L_3_3", "609U_541L_3_0", "637U_59R_1_3"])
def test_real_places_are_in_the_published_units(place):
    for modality in ("s1", "s2"):
        _, known, _ = image_of(REAL_PLACES / place / f"{modality}.tif", modality)
        assert known.all()


@pytest.mark.parametrize(
    "written",
    [
        {"scales": (0.0001,) * 13},
        {"tags": {"scale_factor": "0.0001", "add_offset": "0"}},
        {"tags": {"ScaleFactor": "10000"}},
    ],
    ids=["GDAL", "CF", "a divisor"],
)
def test_scales_of_the_file_are_applied(tmp_path, written):
    read, known, dtype = image_of(write(tmp_path / "a.tif", s2_with(0), **written), "s2")
    assert dtype == np.float32
    np.testing.assert_array_equal(known, MASK > 0)
    np.testing.assert_allclose(read[:, known], values("s2")[:, known], rtol=1e-4)


def test_an_offset_of_the_file_takes_the_processing_offset_off(tmp_path):
    stored = (values("s2") + 1000).astype(np.uint16)
    tags = {"PROCESSING_BASELINE": "05.09"}
    file = write(tmp_path / "a.tif", stored, scales=(0.0001,) * 13, offsets=(-0.1,) * 13, tags=tags)
    np.testing.assert_allclose(image_of(file, "s2")[0], values("s2"), atol=0.5)
    with pytest.raises(ValueError, match="s2_offset=1000: the offset tag of .* is applied already"):
        image_of(file, "s2", s2_offset=1000)


def test_decibels_in_integers_with_a_scale(tmp_path):
    stored = (values("s1") * 100).round().astype(np.int16)
    read, _, _ = image_of(write(tmp_path / "a.tif", stored, scales=(0.01, 0.01)), "s1")
    np.testing.assert_allclose(read, values("s1"), atol=0.006)


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint32"])
def test_integers_become_uint16(tmp_path, dtype):
    stored = values("s2").astype(dtype)
    if dtype != "uint32":
        stored[0, 20, 20] = -40
    read, known, stored_as = image_of(write(tmp_path / "a.tif", stored), "s2")
    assert (stored_as, known.all()) == (np.uint16, True)
    np.testing.assert_array_equal(read, stored.clip(0))


def test_bands_come_by_name(tmp_path):
    stored = values("s1").astype(np.float32)
    file = write(tmp_path / "a.tif", stored[::-1], names=("Sigma0_VH_db", "Sigma0_VV_db"))
    with open_image(file, "s1", units="auto", s2_offset=None, unknown_offset=0) as image:
        np.testing.assert_array_equal(image.read(bands=("VV", "VH"))[0], stored)
        with pytest.raises(ValueError, match="has no B2; it holds VH, VV"):
            image.read(bands=("B2",))


def test_metadata_tell_of_the_processing_offset(tmp_path):
    stored = (values("s2") + 1000).astype(np.uint16)
    file = write(tmp_path / "a.tif", stored, tags={"PROCESSING_BASELINE": "05.09"})
    np.testing.assert_array_equal(image_of(file, "s2")[0], values("s2"))
    harmonised = write(tmp_path / "b.tif", values("s2").astype(np.uint16), tags={"PROCESSING_BASELINE": "05.09"})
    with pytest.raises(ValueError, match="s2_offset"):
        image_of(harmonised, "s2")


LABELS = np.random.default_rng(5).integers(0, 3, SIZE)


@pytest.mark.parametrize(
    ("dtype", "none", "profile"),
    [
        (np.uint8, 255, {}),
        (np.uint8, 0, {"nodata": 0}),
        (np.uint8, 7, {"nodata": 7}),
        (np.int16, -1, {"nodata": -1}),
        (np.float32, -9999, {"nodata": -9999}),
        (np.float64, np.nan, {}),
        (np.uint8, 1, {"mask": MASK}),
    ],
)
def test_labels_of_any_type(tmp_path, dtype, none, profile):
    stored = LABELS.astype(dtype)
    stored[HOLE] = none
    expected = np.where((MASK == 0) | np.equal(LABELS, profile.get("nodata", 255)), 255, LABELS)
    read = read_labels(write(tmp_path / "a.tif", stored[None], **profile), 3)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, expected)


def test_labels_that_are_no_whole_numbers_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds 0\.5: labels are whole numbers"):
        read_labels(write(tmp_path / "a.tif", np.full((1, *SIZE), 0.5, np.float32)), 3)


def vrt(file, source, extra=""):
    text = f'<VRTDataset rasterXSize="30" rasterYSize="40">{extra}'
    for band in range(1, 14):
        text += (
            f'<VRTRasterBand dataType="UInt16" band="{band}"><SimpleSource><SourceFilename>{source}</SourceFilename>'
        )
        text += f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
    file.write_text(text + "</VRTDataset>")
    return file


def test_a_vrt_is_opened_only_where_its_user_named_it(tmp_path):
    secret = write(tmp_path / "other" / "secret.tif", values("s2").astype(np.uint16))
    file = vrt(tmp_path / "s2.tif", secret)
    with pytest.raises(ValueError, match="it is a VRT, which points to other files; GeoTIFF is needed"):
        image_of(file, "s2")
    with open_image(file, "s2", units="auto", s2_offset=0, unknown_offset=None, drivers=NAMED_BY_USER) as image:
        np.testing.assert_array_equal(image.read()[0], values("s2"))


@pytest.mark.parametrize("ending", [".msk", ".ovr"])
def test_what_lies_beside_an_image_points_nowhere(tmp_path, ending):
    file = write(tmp_path / "s2.tif", values("s2").astype(np.uint16))
    vrt(tmp_path / f"s2.tif{ending}", write(tmp_path / "secret.tif", values("s2").astype(np.uint16)))
    with pytest.raises(ValueError, match=rf"s2\.tif\{ending} cannot be read: it is a VRT"):
        image_of(file, "s2")


def test_overviews_in_other_files_are_refused(tmp_path):
    file = write(tmp_path / "s2.tif", values("s2").astype(np.uint16))
    with rasterio.open(file, "r+") as target:
        target.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(tmp_path / "secret.tif"))
    with pytest.raises(ValueError, match="points to overviews in another file"):
        image_of(file, "s2")


@pytest.mark.parametrize("name", ["s2.tif", "s2.tif.aux.xml", "s2.tif.msk", "s2.tfw"])
def test_a_pipe_does_not_hang(tmp_path, name):
    file = tmp_path / "s2.tif"
    if name != "s2.tif":
        write(file, values("s2").astype(np.uint16))
    os.mkfifo(tmp_path / name)
    with pytest.raises(ValueError, match="is no regular file"):
        image_of(file, "s2")


@pytest.mark.parametrize(
    "content", [b"", b"PNG?", b"<VRTDataset/>", b"\n <VRTDataset/>", b"\x89PNG\r\n\x1a\n" + bytes(100)]
)
def test_members_of_archives_are_geotiffs(content):
    with pytest.raises(ValueError, match="here cannot be read"), opened_bytes(content, "here"):
        pass


def folder_reader(path, **changes):
    settings = {
        "files": {"s1": "s1.tif", "s2": "s2.tif"},
        "labels": "dw.tif",
        "truth": None,
        "classes": ["a", "b", "c"],
    }
    return FolderReader(path, **{**settings, "s2_offset": None, "units": {}, **changes})


NODATA = st.sampled_from(
    [
        ("s2", np.uint16, 0, None, True),
        ("s2", np.uint16, 0, 0, True),
        ("s2", np.int16, -9999, None, False),
        ("s2", np.int16, -9999, -9999, False),
        ("s2", np.float32, np.nan, None, False),
        ("s2", np.float64, -3.4e38, None, False),
        ("s2", np.uint8, 0, 0, True),
        ("s1", np.float32, 0, None, True),
        ("s1", np.float32, np.nan, np.nan, False),
        ("s1", np.float64, -9999, None, False),
        ("s1", np.float32, -np.inf, None, False),
    ]
)
"""Modality, type, value of missing pixels, what is declared, and whether all bands have to hold it."""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=NODATA, seed=st.integers(0, 1000), share=st.floats(0, 0.6), one_band=st.booleans())
def test_holes_have_no_label_and_nothing_else_changes(tmp_path, kind, seed, share, one_band):
    modality, dtype, value, declared, in_all = kind
    random = np.random.default_rng(seed)
    hole = random.random(SIZE) < share
    images = {name: values(name, seed).astype(np.uint16 if name == "s2" else np.float32) for name in ("s1", "s2")}
    plain = quantise(images[modality], modality) if dtype == np.uint8 else images[modality].astype(dtype)
    stored = plain.copy()
    band = random.integers(len(stored))
    stored[(slice(band, band + 1) if one_band else slice(None), hole)] = value
    place = tmp_path / "a"
    for name, image in images.items():
        write(place / f"{name}.tif", image)
    write(place / f"{modality}.tif", stored, nodata=declared)
    write(place / "dw.tif", LABELS[None].astype(np.uint8))
    missing = hole & (not one_band or not in_all)

    reader = folder_reader(tmp_path, truth="dw.tif")
    for labels in (reader.read_labels(0), reader.read_truth(0)):
        np.testing.assert_array_equal(labels[0], np.where(missing, 255, LABELS))
    for name, image in {**images, modality: stored}.items():
        read = reader.read_images(0, 0, name)
        expected = image[:, ~missing] if name == modality else image
        np.testing.assert_array_equal(read[:, ~missing] if name == modality else read, expected)
    assert np.isfinite(reader.read_images(0, 0, modality)).all()


def test_units_that_differ_from_the_other_locations_are_named(tmp_path):
    for number in range(3):
        write(tmp_path / f"p{number}" / "s1.tif", values("s1").astype(np.float32))
        write(tmp_path / f"p{number}" / "s2.tif", REFLECTANCE if number == 1 else values("s2").astype(np.uint16))
        write(tmp_path / f"p{number}" / "dw.tif", LABELS[None].astype(np.uint8))
    with pytest.raises(ValueError, match=r"p1/s2\.tif: values .*units\.s2=reflectance") as caught:
        folder_reader(tmp_path)
    assert "p0/" not in str(caught.value)
    assert "p2/" not in str(caught.value)


def test_a_folder_whose_values_clearly_carry_an_offset_has_to_be_told_so(tmp_path):
    plain = values("s2").astype(np.uint16)
    plain[10] = 12  # what the atmosphere leaves of B10
    write(tmp_path / "a" / "s2.tif", plain + 1000)
    write(tmp_path / "a" / "dw.tif", LABELS[None].astype(np.uint8))
    with pytest.raises(ValueError, match=r"(?s)as nothing states one.*dataset\.s2_offset.*folder\.s2_offset"):
        folder_reader(tmp_path, files={"s2": "s2.tif"})
    for offset, expected in ((1000, plain), (0, plain + 1000)):
        reader = folder_reader(tmp_path, files={"s2": "s2.tif"}, s2_offset=offset)
        np.testing.assert_array_equal(reader.read_images(0, 0, "s2"), expected)


def test_types_and_descriptions_may_differ_between_locations(tmp_path):
    order = [band.name for band in BANDS["s2"]]
    for number, (dtype, turn) in enumerate([(np.uint16, 1), (np.int16, -1), (np.float32, 1)]):
        place = tmp_path / f"p{number}"
        write(place / "s1.tif", values("s1").astype(np.float64 if number else np.float32))
        write(place / "s2.tif", values("s2").astype(dtype)[::turn], names=order[::turn])
        write(place / "dw.tif", LABELS[None].astype(np.uint8 if number else np.float32), names=("labels" * number,))
    reader = folder_reader(tmp_path)
    assert reader.info.modalities["s2"].dtype == "float32"
    for index in range(3):
        np.testing.assert_array_equal(reader.read_images(index, 0, "s2"), values("s2"))
        np.testing.assert_array_equal(reader.read_labels(index)[0], LABELS)


def test_a_folder_without_s1_is_reported_how_to_go_without(tmp_path):
    write(tmp_path / "a" / "s2.tif", values("s2").astype(np.uint16))
    write(tmp_path / "a" / "dw.tif", LABELS[None].astype(np.uint8))
    with pytest.raises(ValueError, match=r"(?s)s1\.tif is missing.*dataset\.files\.s1=null.*folder\.files\.s1=null"):
        folder_reader(tmp_path)


def test_rasters_are_opened_in_one_place():
    from pathlib import Path

    import cromss

    package = Path(cromss.__file__).parent
    openers = {str(file.relative_to(package)) for file in package.rglob("*.py") if "rasterio.open(" in file.read_text()}
    assert openers == {"dataset/geotiff.py"}
