import pytest

from cromss.io.cells import csv_cell, markdown


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "@SUM(A1)", "-a", "-1+1", "\t=1", "\r=1", "=", "--5"])
def test_what_a_spreadsheet_would_compute_is_text(text):
    assert csv_cell(text).startswith("'")


@pytest.mark.parametrize("value", ["-0.5", "+1e-3", "0", "", "a=b", "-nan", 0.5, -1, None, True])
def test_numbers_and_usual_text_stay(value):
    assert csv_cell(value) == value


def test_markdown_holds_no_links_no_html_and_one_line():
    assert markdown("a|b [x](javascript:y) <img>\nz") == r"a\|b \[x\](javascript:y) \<img\>\\nz"
