from pathlib import Path

import pytest

from cromss.predict.offset import detect_offset

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
    [("05.09", (-1000, 0), r"offsets \[-1000, 0\]"), ("new", (), "'new' is no number such as 05.09")],
)
def test_metadata_that_contradict_themselves_are_refused(tmp_path, baseline, offsets, message):
    with pytest.raises(ValueError, match=message):
        detect_offset(product(tmp_path, baseline, *offsets), {})


def test_metadata_cut_short_are_refused(tmp_path):
    folder = product(tmp_path, "05.09")
    (folder / "MTD_MSIL1C.xml").write_text(MTD[:80])
    with pytest.raises(ValueError, match=r"cannot be read .*say s2_offset="):
        detect_offset(folder, {})
