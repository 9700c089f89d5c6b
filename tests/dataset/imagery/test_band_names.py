"""Names of bands as common software writes them: mapped where they are known, refused where they are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cromss.dataset.bands import BANDS
from cromss.dataset.imagery.band_names import band_of, band_of_file, name_bands

KNOWN = {modality: tuple(band.name for band in bands) for modality, bands in BANDS.items()}
WAVELENGTHS = (443, 490, 560, 665, 705, 740, 783, 842, 865, 945, 1375, 1610, 2190)

STYLES = {
    "s1": {
        "published": "VV VH",
        "lower case": "vv vh",
        "SNAP in dB": "Sigma0_VV_db Sigma0_VH_db",
        "SNAP, linear": "Gamma0_VV Gamma0_VH",
        "SNAP, coregistered": "Sigma0_VV_slv1_05May2018_db Sigma0_VH_slv1_05May2018_db",
        "SAFE": "s1a-iw-grd-vv-20180505t053021-20180505t053046-021767-0258f1-001 "
        "s1a-iw-grd-vh-20180505t053021-20180505t053046-021767-0258f1-002",
        "Earth Engine, reduced": "VV_mean VH_mean",
    },
    "s2": {
        "published": " ".join(KNOWN["s2"]),
        "lower case": " ".join(KNOWN["s2"]).lower(),
        "SAFE": "B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12",
        "sen2cor": "B01_60m B02_10m B03_10m B04_10m B05_20m B06_20m B07_20m B08_10m B8A_20m B09_60m B10_60m "
        "B11_20m B12_20m",
        "product": " ".join(f"T32UPU_20180505T103021_{name}" for name in KNOWN["s2"]),
        "STAC": "coastal blue green red rededge1 rededge2 rededge3 nir nir08 nir09 cirrus swir16 swir22",
        "one red edge": "coastal blue green red rededge rededge2 rededge3 nir nir08 nir09 cirrus swir16 swir22",
        "pystac": "coastal blue green red re1 re2 re3 nir nir08 wv cirrus swir1 swir2",
        "STAC eo 1.1": "coastal blue green red rededge071 rededge075 rededge078 nir nir08 nir09 cirrus swir16 swir22",
    },
}
STYLES = {modality: {style: names.split() for style, names in table.items()} for modality, table in STYLES.items()}
STYLES["s2"]["GDAL"] = [f"{n}, central wavelength {w} nm" for n, w in zip(KNOWN["s2"], WAVELENGTHS, strict=True)]
STYLES["s2"]["words"] = [
    *(
        "B1 - Coastal aerosol",
        "Blue",
        "Green",
        "Red",
        "B5 - Vegetation Red Edge",
        "Vegetation Red Edge 2",
        "red_edge_3",
    ),
    *("NIR", "Narrow NIR", "Water vapour", "SWIR - Cirrus", "SWIR 1", "SWIR_2"),
]


@pytest.mark.parametrize(("modality", "style"), [(m, style) for m, table in STYLES.items() for style in table])
def test_known_aliases(modality, style):
    found = name_bands(modality, STYLES[modality][style])
    assert found.names == KNOWN[modality]
    assert found.indexes == tuple(range(1, len(KNOWN[modality]) + 1))
    assert not found.assumed


@given(st.data())
def test_any_order_of_any_aliases_with_anything_between_gives_the_published_order(data):
    modality = data.draw(st.sampled_from(sorted(STYLES)))
    known = KNOWN[modality]
    styles = data.draw(
        st.lists(st.sampled_from(list(STYLES[modality].values())), min_size=len(known), max_size=len(known))
    )
    order = data.draw(st.permutations(range(len(known))))[: data.draw(st.integers(1, len(known)))]
    described = [(styles[band][band], band) for band in order]
    for extra in data.draw(
        st.lists(st.sampled_from(["angle", "QA60", "SCL", "alpha", "mask", "cloud mask"]), max_size=3)
    ):
        described.insert(data.draw(st.integers(0, len(described))), (extra, None))
    image = np.array([-1 if band is None else band for _, band in described])
    found = name_bands(modality, [name for name, _ in described])
    assert [known[band] for band in image[np.array(found.indexes) - 1]] == list(found.names)
    assert [known.index(name) for name in found.names] == list(order)
    assert len(found.extras) == sum(band is None for _, band in described)


@pytest.mark.parametrize(
    ("modality", "descriptions", "indexes", "extras"),
    [
        ("s1", [None, None], (1, 2), ()),
        ("s1", ["", " "], (1, 2), ()),
        ("s1", [None, "angle", None], (1, 3), ("angle",)),
        ("s1", ["Band 1", "Band 2"], (1, 2), ()),
        ("s1", ["band_0", "band_1"], (1, 2), ()),
        ("s2", [f"band {number}" for number in range(1, 14)], tuple(range(1, 14)), ()),
        ("s2", [f"lyr.{number}" for number in range(1, 14)], tuple(range(1, 14)), ()),
        ("s2", [str(number) for number in range(13)], tuple(range(1, 14)), ()),
        ("s2", [*[f"Band {number}" for number in range(1, 14)], "QA60"], tuple(range(1, 14)), ("QA60",)),
    ],
)
def test_the_published_order_is_assumed_only_without_any_name(modality, descriptions, indexes, extras):
    found = name_bands(modality, descriptions)
    assert found == (KNOWN[modality], indexes, extras, True)


@pytest.mark.parametrize("extra", ["angle", "QA60", "SCL", "alpha", "mask", "localIncidenceAngle", "incidence angle"])
def test_what_is_no_band_is_dropped(extra):
    assert name_bands("s1", ["VH", extra, "VV"]) == (("VH", "VV"), (1, 3), (extra,), False)


@pytest.mark.parametrize(
    ("modality", "descriptions", "words"),
    [
        ("s1", ["HH", "HV"], ["HH (band 1)", "HV (band 2)", "VV VH", "Sigma0_VV_db"]),
        ("s1", ["Sigma0_HH_db", "Sigma0_HV_db"], ["Sigma0_HH_db"]),
        ("s1", ["VV", "HV"], ["HV (band 2)"]),
        ("s1", ["VV1", "VV2"], ["VV1", "VV2"]),
        ("s1", ["VV", "VH", "VV/VH"], ["VV/VH (band 3)"]),
        ("s1", ["i_VV", "q_VV"], ["i_VV"]),
        ("s1", ["VV", None], ["no name (band 2)"]),
        ("s1", ["VV", "Sigma0_VV_db"], ["VV several times", "Sigma0_VV_db (band 2)"]),
        ("s1", ["VV", "VV", "VH"], ["VV several times"]),
        ("s1", [None, None, None], ["3 bands without names"]),
        ("s1", ["angle"], ["0 bands"]),
        ("s2", [*KNOWN["s2"][:12], "NDVI"], ["NDVI (band 13)", "B8A", "swir16"]),
        ("s2", [*KNOWN["s2"][:12], "B11"], ["B11 several times"]),
        ("s2", ["red", "B4"], ["B4 several times"]),
        ("s2", ["B2 red"], ["B2 red"]),
        ("s2", ["B13"], ["B13"]),
        ("s2", ["rededge", "rededge", "rededge"], ["B5 several times"]),
        ("s2", [None] * 12, ["12 bands without names"]),
        # The 9th band is B8A, the band 9 is B9.
        ("s2", ["Band 8", "Band 9"], ["Band 9"]),
        ("s2", ["\x1b[31mevil" * 100], ["\\x1b[31mevil"]),
    ],
)
def test_what_is_not_known_is_refused_with_the_list(modality, descriptions, words):
    with pytest.raises(ValueError, match="band") as caught:
        name_bands(modality, descriptions)
    assert all(word in str(caught.value) for word in words)
    assert "\x1b" not in str(caught.value)


def test_band_8a_tells_what_the_other_numbers_mean():
    names = [f"Band {name[1:]}" for name in KNOWN["s2"]]
    assert name_bands("s2", names).names == KNOWN["s2"]
    assert name_bands("s2", ["Band 4", "Band 3", "Band 2"]).names == ("B4", "B3", "B2")


@pytest.mark.parametrize(
    ("modality", "stem", "band"),
    [
        ("s2", "T32UPU_20180505T103021_B04_10m", "B4"),
        ("s2", "S2A_MSIL1C_20180505T103021_N0206_R108_T32UPU_20180505T123456_B8A", "B8A"),
        ("s2", "my site B_b02", "B2"),
        ("s2", "blue", "B2"),
        ("s2", "T32UPU_20180505T103021_TCI", None),
        ("s2", "MSK_CLOUDS_B00", None),
        ("s1", "S1A_IW_GRDH_1SDV_20180505T053021_20180505T053046_021767_0258F1_AB12_VV", "VV"),
        ("s1", "20200101_VH", "VH"),
        ("s1", "HH", None),
    ],
)
def test_files_of_one_band_go_by_their_own_name(modality, stem, band):
    assert band_of_file(modality, stem) == band


@given(st.sampled_from(["s1", "s2"]), st.text(max_size=40))
def test_any_text_is_a_known_band_or_none(modality, text):
    assert band_of(modality, text) in (None, *KNOWN[modality])


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", [",", " ", "(", "9", "B4 ", "_", "sentinel-", "vv-", "1 nm"])
def test_a_description_of_megabytes_is_unknown_at_once(text):
    for modality in KNOWN:
        with pytest.raises(ValueError, match="not known as"):
            name_bands(modality, [text * 1_000_000 + "x"] * len(KNOWN[modality]))
        assert band_of_file(modality, text * 1_000_000) is None
