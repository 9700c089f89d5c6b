from datetime import date

import pytest

from cromss.prepare.download.tiles import read_tiles


def test_a_table_is_read(table, tile):
    (read,) = read_tiles(table)
    assert read == tile
    assert read.date == date(2019, 7, 12)
    assert tuple(read.transform)[:6] == (10, 0, 500_000, 0, -10, 5_300_400)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("-20190712", "-20191312", r"line 2, column dw_id is '.*-20191312'.*: must end in -YYYYMMDD"),
        ("dw_47.8", "../47.8", r"line 2, column dw_id is '../47.8.*: must end in"),
        (",32633,", ",4326,", r"line 2, column crs is '4326': must be the EPSG code of a projection"),
        (",32633,", ",utm,", r"line 2, column crs is 'utm': must be"),
        (",500600.0,", ",x,", r"line 2, column bound3 is 'x'"),
        (",500600.0,", ",nan,", r"line 2, column bound3 is 'nan'"),
        (",500600.0,", ",400000,", r"line 2, column bound3 is 400000: it must be more than 500000: left, bottom"),
        (",40,60,", ",40,0,", r"line 2, column width is '0'"),
        (",40,60,", ",40,10001,", r"line 2, column width is '10001'"),
        (",40,60,", ",40.5,60,", r"line 2, column height is '40.5'"),
        (",bbox4", "", r"line 1: the columns bbox4 are missing"),
    ],
)
def test_a_mistake_is_reported_with_its_place(table, old, new, message):
    text = table.read_text()
    assert old in text
    table.write_text(text.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_tiles(table)


def test_short_rows_double_rows_and_no_rows(table):
    header, row = table.read_text().splitlines()
    table.write_text(f"{header}\n{row}\n{row}\n")
    with pytest.raises(ValueError, match="line 3, column dw_id: 47.8_15.0-20190712 occurs twice"):
        read_tiles(table)
    table.write_text(f"{header}\n{row.rsplit(',', 1)[0]}\n")
    with pytest.raises(ValueError, match="line 2, column bbox4 is ''"):
        read_tiles(table)
    table.write_text(f"{header}\n")
    with pytest.raises(ValueError, match="holds no tile"):
        read_tiles(table)
    with pytest.raises(ValueError, match=r"download.tiles=.*absent.csv cannot be read"):
        read_tiles(table.with_name("absent.csv"))


def test_codes_and_sizes_that_went_through_a_spreadsheet(table, tile):
    table.write_text(table.read_text().replace(",32633,", ",EPSG:32633,").replace(",40,60,", ",40.0,60.0,"))
    assert read_tiles(table) == [tile]
