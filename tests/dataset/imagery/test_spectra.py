"""Values that contradict the assumed order of bands, and values that never do."""

import numpy as np
import pytest
import rasterio
import yaml

from cromss.dataset.bands import BANDS
from cromss.dataset.imagery.spectra import doubt_order
from cromss.dataset.imagery.units import PUBLISHED, QUANTISED, verdict
from cromss.dataset.scaling import quantise
from cromss.io.package_data import config_dir
from cromss.synthetic.reader import SyntheticReader
from helpers.shared import REAL_PLACES, needs_shared

NAMES = [band.name for band in BANDS["s2"]]
LOCATIONS = ("282D_485L_3_3", "609U_541L_3_0", "637U_59R_1_3")
ORDERS = {
    "red first": "B4 B3 B2 B1 B5 B6 B7 B8 B8A B9 B10 B11 B12",
    "red, green, blue, near infrared first": "B4 B3 B2 B8 B1 B5 B6 B7 B8A B9 B10 B11 B12",
    "reversed": " ".join(reversed(NAMES)),
    "by resolution": "B2 B3 B4 B8 B5 B6 B7 B8A B11 B12 B1 B9 B10",
    "by alphabet": " ".join(sorted(NAMES)),
    "B8A last": "B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11 B12 B8A",
}


@pytest.fixture(scope="module")
def embedded():
    scene = yaml.safe_load((config_dir() / "dataset" / "_synthetic_scene.yaml").read_text())
    reader = SyntheticReader(locations=30, seed=0, size=72, seasons=2, noise=1.0, **scene)
    return [
        {modality: season.reshape(len(season), -1) for modality, season in zip(("s1", "s2"), seasons, strict=True)}
        for index in range(len(reader))
        for seasons in zip(*(reader.location(index).images[modality] for modality in ("s1", "s2")), strict=True)
    ]


def real(location, modality):
    with rasterio.open(REAL_PLACES / location / f"{modality}.tif") as source:
        return source.read()


def test_the_embedded_world_is_never_doubted(embedded):
    assert not [found for images in embedded for m in images if (found := doubt_order(m, images[m]))]


def test_the_embedded_world_is_in_published_units_and_quantised_ones(embedded):
    for images in embedded:
        for modality, image in images.items():
            bands = BANDS[modality]
            assert verdict(modality, image, bands, quantised=False) == PUBLISHED[modality]
            assert verdict(modality, quantise(image[:, None], modality)[:, 0], bands, quantised=True) == QUANTISED


def test_most_orders_are_doubted_in_the_embedded_world(embedded):
    for names in ORDERS.values():
        order = [NAMES.index(name) for name in names.split()]
        assert np.mean([doubt_order("s2", images["s2"][order]) is not None for images in embedded]) > 0.7
    assert all("VH is stronger" in doubt_order("s1", images["s1"][::-1]) for images in embedded)


@needs_shared
@pytest.mark.parametrize("location", LOCATIONS)
def test_real_locations_are_doubted_in_another_order_only(location):
    s2 = real(location, "s2")
    for top in (0, 112):
        for left in (0, 112):
            quarter = s2[:, top : top + 112, left : left + 112].reshape(13, -1)
            assert doubt_order("s2", quarter) is None
            for names in ORDERS.values():
                assert doubt_order("s2", quarter[[NAMES.index(name) for name in names.split()]])
    s1 = real(location, "s1").reshape(2, -1)
    assert doubt_order("s1", s1) is None
    assert "VH is stronger" in doubt_order("s1", s1[::-1])


def test_little_or_constant_proves_nothing():
    assert doubt_order("s2", np.zeros((13, 50))) is None
    assert doubt_order("s1", np.array([[-20.0], [-10.0]]).repeat(50, axis=1)) is None
    published = np.array([[band.mean] for band in BANDS["s2"]]).repeat(200, axis=1)
    assert doubt_order("s2", published) is None
