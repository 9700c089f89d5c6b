import csv
from collections import Counter

import pytest

from cromss.report.paper import TABLES, paper_rows
from helpers.shared import PAPER, needs_paper


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_forty_rows_of_which_thirty_are_repeatable(table):
    rows = paper_rows(table)
    # One vision transformer on S1 and four on S2, frozen and fine-tuned.
    assert Counter(row.backbone for row in rows) == {"resnet50": 30, "vit-l": 10}
    assert [row.is_repeatable for row in rows] == [row.backbone == "resnet50" for row in rows]


def test_a_row_is_that_of_the_paper():
    (row,) = [row for row in paper_rows("dfc2020") if (row.weights, row.mode) == ("cromss-mid-13b", "frozen")]
    assert (row.table, row.input, row.backbone) == ("dfc2020", "s2", "resnet50")
    percents = {name: (100 * score.mean, 100 * score.std) for name, score in row.scores.items()}
    expected = {"oa": (69.56, 0.32), "aa": (54.61, 0.25), "miou": (42.52, 0.11), "mf1": (54.12, 0.16)}
    assert percents == {name: pytest.approx(score) for name, score in expected.items()}


@needs_paper
def test_no_number_was_changed():
    with PAPER.open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["dataset"] == "osm"]
    expected = [(line["input"], line["weights"], line["mode"], float(line["mf1_std"])) for line in lines]
    found = [(row.input, row.weights, row.mode, round(100 * row.scores["mf1"].std, 2)) for row in paper_rows("osm")]
    assert found == expected
