import logging
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio

from cromss.dataset.bands import BANDS
from cromss.dataset.imagery.offset import Offset, check_offset, detect_offset, find_offset
from helpers.shared import REAL_PLACES, needs_shared

MTD = """<?xml version="1.0"?>
<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd">
  <n1:General_Info><Product_Info><PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE></Product_Info>
    <Product_Image_Characteristics>{offsets}</Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-1C_User_Product>"""
OFFSETS = "<Radiometric_Offset_List>{}</Radiometric_Offset_List>"


def product(tmp_path, baseline, *offsets):
    folder = tmp_path / "S2A_MSIL1C_20230101T103421_N0509_R108_T32TPS_20230101T123456.SAFE"
    folder.mkdir()
    listed = "".join(f'<RADIO_ADD_OFFSET band_id="{i}">{value}</RADIO_ADD_OFFSET>' for i, value in enumerate(offsets))
    text = MTD.format(baseline=baseline, offsets=OFFSETS.format(listed) if offsets else "")
    (folder / "MTD_MSIL1C.xml").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("tags", "offset"),
    [
        ({"RADIO_ADD_OFFSET": "-1000"}, 1000),
        ({"BOA_ADD_OFFSET_B1": "-1000.0"}, 1000),
        ({"PROCESSING_BASELINE": "05.09"}, 1000),
        ({"s2:processing_baseline": "04.00"}, 1000),
        ({"processing_baseline": "0509"}, 1000),
        ({"processing_baseline": "0214"}, 0),
        ({"processing_baseline": "N0301"}, 0),
        ({"PROCESSING_BASELINE": "02.14"}, 0),
        ({"PROCESSING_BASELINE": "N03.01"}, 0),
        ({"PROCESSING_BASELINE": "4.0"}, 1000),
        ({"PROCESSING_BASELINE": "02.08", "RADIO_ADD_OFFSET": "-1000"}, 1000),
    ],
)
def test_tags_of_the_file_tell(tags, offset):
    assert detect_offset(Path("scene.tif"), tags)[0] == offset


def test_a_product_tells_by_its_offsets_or_its_baseline(tmp_path):
    folder = product(tmp_path, "05.09", -1000, -1000)
    assert detect_offset(folder, {}) == (1000, "offsets in MTD_MSIL1C.xml")
    (folder / "MTD_MSIL1C.xml").write_text(MTD.format(baseline="03.01", offsets=""))
    assert detect_offset(folder, {}) == (0, "processing baseline 03.01 in MTD_MSIL1C.xml")
    deep = folder / "GRANULE" / "L1C_T32TPS" / "IMG_DATA"
    deep.mkdir(parents=True)
    assert detect_offset(deep, {}) == (0, "processing baseline 03.01 in MTD_MSIL1C.xml")
    assert detect_offset(deep / "T32TPS_20230101T103421_B02.jp2", {})[0] == 0


@pytest.mark.parametrize(("baseline", "offset"), [("0509", 1000), ("0400", 1000), ("0301", 0)])
def test_the_name_of_a_product_tells(tmp_path, baseline, offset):
    name = f"S2B_MSIL2A_20230101T103421_N{baseline}_R108_T32TPS_20230101T123456"
    assert detect_offset(tmp_path / f"{name}.tif", {})[0] == offset


def test_nothing_is_guessed(tmp_path):
    assert detect_offset(tmp_path / "scene.tif", {"AREA_OR_POINT": "Area"}) is None


@pytest.mark.parametrize(
    ("baseline", "offsets", "message"),
    [("05.09", (-1000, 0), r"offsets \[-1000, 0\]"), ("new", (), "new is no number such as 05.09")],
)
def test_metadata_that_contradict_themselves_are_refused(tmp_path, baseline, offsets, message):
    with pytest.raises(ValueError, match=message):
        detect_offset(product(tmp_path, baseline, *offsets), {})


def test_metadata_cut_short_are_refused(tmp_path):
    folder = product(tmp_path, "05.09")
    (folder / "MTD_MSIL1C.xml").write_text(MTD[:80])
    with pytest.raises(ValueError, match=r"cannot be read .*set s2_offset="):
        detect_offset(folder, {})


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"RADIO_ADD_OFFSET_B1": "-1000", "RADIO_ADD_OFFSET_B2": "0"}, "different offsets"),
        ({"BOA_ADD_OFFSET": "-0.1"}, "no whole number"),
        ({"BOA_ADD_OFFSET": "nan"}, "no whole number"),
        ({"BOA_ADD_OFFSET": "1e400"}, "no whole number"),
        ({"PROCESSING_BASELINE": "nan"}, "no number such as"),
        ({"PROCESSING_BASELINE": "inf"}, "no number such as"),
        ({"BOA_ADD_OFFSET": "1000"}, r"no offset in \[0, 10000\]"),
        ({"BOA_ADD_OFFSET": "-1e300"}, r"no offset in \[0, 10000\]"),
    ],
)
def test_tags_that_make_no_sense_are_refused(tags, message):
    with pytest.raises(ValueError, match=message):
        find_offset(Path("scene.tif"), [tags], quantised=False, given=None)


def test_the_user_decides_and_without_anybody_who_knows_is_asked(tmp_path):
    tags = [{"PROCESSING_BASELINE": "05.09"}]
    assert find_offset(tmp_path, tags, quantised=False, given=0) == Offset(0, None)
    assert find_offset(tmp_path, tags, quantised=True, given=None) == Offset(0, None)
    assert find_offset(tmp_path, tags, quantised=False, given=None) == Offset(1000, "PROCESSING_BASELINE=05.09")
    with pytest.raises(ValueError, match="set s2_offset=1000 if .* s2_offset=0 if not"):
        find_offset(tmp_path, [{}], quantised=False, given=None)
    with pytest.raises(ValueError, match="name different offsets"):
        find_offset(tmp_path, [*tags, {}], quantised=False, given=None)
    with pytest.raises(ValueError, match="is uint8: set s2_offset=0"):
        find_offset(tmp_path, tags, quantised=True, given=1000)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 20))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x>&l19;</x>', "entities"),
        (
            '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><PROCESSING_BASELINE>&e;</PROCESSING_BASELINE>',
            "enti",
        ),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><x/>', "document type"),
        ("<x>" * 100_000, "nested more than"),
        ("", "not XML"),
        ("<x>\x00</x>", "not XML"),
    ],
)
def test_hostile_metadata_are_refused(tmp_path, content, message):
    (tmp_path / "MTD_MSIL1C.xml").write_text(content)
    with pytest.raises(ValueError, match=rf"MTD_MSIL1C.xml cannot be read .*{message}.*set s2_offset="):
        detect_offset(tmp_path, {})


def test_metadata_that_are_no_regular_file_or_huge_are_refused(tmp_path):
    file = tmp_path / "MTD_MSIL1C.xml"
    os.mkfifo(file)
    with pytest.raises(ValueError, match="not a regular file"):
        detect_offset(tmp_path, {})
    file.unlink()
    with file.open("wb") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(ValueError, match="bytes, more than"):
        detect_offset(tmp_path, {})


NAMES = [band.name for band in BANDS["s2"]]
TOLD = Offset(1000, "its name, S2A_MSIL1C")


def real(location):
    with rasterio.open(REAL_PLACES / location / "s2.tif") as source:
        return source.read().reshape(13, -1)


@needs_shared
@pytest.mark.parametrize("location", ["282D_485L_3_3", "609U_541L_3_0", "637U_59R_1_3"])
@pytest.mark.parametrize("without", [None, "B10"])
def test_real_values_speak_against_a_wrong_offset_only(location, without, caplog):
    kept = [number for number, name in enumerate(NAMES) if name != without]
    names, values = [NAMES[number] for number in kept], real(location)[kept]
    with caplog.at_level(logging.WARNING):
        check_offset(Path("s2.tif"), TOLD, names, values + 1000)
        check_offset(Path("s2.tif"), Offset(0, "its name"), names, values)
        check_offset(Path("s2.tif"), Offset(0, None), names, values)
        assert not caplog.records
    with pytest.raises(ValueError, match=r"s2.tif: .*its name, S2A_MSIL1C.*set s2_offset=1000 .*s2_offset=0 if not"):
        check_offset(Path("s2.tif"), TOLD, names, values)
    # What the user set is believed.
    for offset, image in ((1000, values), (0, values + 1000)):
        caplog.clear()
        check_offset(Path("s2.tif"), Offset(offset, None), names, image)
        # Without B10, and without water, nothing in a scene has to be dark.
        if offset or without is None or location == "282D_485L_3_3":
            assert ("s2_offset=0 if" if offset else "s2_offset=1000 if") in caplog.text


@needs_shared
@pytest.mark.parametrize("location", ["282D_485L_3_3", "609U_541L_3_0", "637U_59R_1_3"])
@pytest.mark.parametrize("offset", [Offset(0, None, assumed=True), Offset(0, "baseline 02.06")])
def test_an_offset_that_all_of_b10_carries_is_refused_unless_the_user_tells(location, offset, caplog):
    values = real(location)
    with caplog.at_level(logging.WARNING):
        check_offset(Path("s2.tif"), offset, NAMES, values)
        assert not caplog.records
        with pytest.raises(ValueError, match=r"nearly all of B10.*set s2_offset=1000 .*s2_offset=0 if not"):
            check_offset(Path("s2.tif"), offset, NAMES, values + 1000)
        # A sheet of high clouds, or no B10: nobody knows.
        clouds = values + 1000 + 600 * (np.array(NAMES) == "B10")[:, None]
        check_offset(Path("s2.tif"), offset, NAMES, clouds)
        without = np.array(NAMES) != "B10"
        check_offset(Path("s2.tif"), offset, [name for name in NAMES if name != "B10"], (values + 1000)[without])
    assert all("set s2_offset=1000 if they do" in record.getMessage() for record in caplog.records)
    assert caplog.records


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        # B11 of lakes, a twentieth of the scene, a little below the offset: noise, or no offset at all.
        ({"B4": [1200] * 100, "B11": [850] * 5 + [2000] * 95}, "warns"),
        # A desert without B10 has no dark pixels.
        ({"B4": [3500] * 100, "B11": [4500] * 100}, "nothing"),
        ({"B4": [1200] * 100, "B11": [300] * 20 + [2000] * 80}, "refuses"),
        # Clouds all over B10.
        ({"B4": [6000] * 100, "B10": [1500] * 100}, "nothing"),
        ({"B4": [200] * 50, "B10": [10] * 50}, "nothing"),  # few pixels prove nothing
    ],
)
def test_only_a_clear_contradiction_is_refused(values, verdict, caplog):
    image = np.array(list(values.values()))
    if verdict == "refuses":
        with pytest.raises(ValueError, match="B11"):
            check_offset(Path("s2.tif"), TOLD, list(values), image)
    else:
        check_offset(Path("s2.tif"), TOLD, list(values), image)
        assert bool(caplog.records) == (verdict == "warns")
