import pytest
from hypothesis import given
from hypothesis import strategies as st

from cromss.dataset.classes import CLASSES, check_class_names, metric_keys
from cromss.io.plain import printable

ALIKE = ["a b", "a-b", "A_B", "a b 1", "a_b_1", "class 1", "水", "森", "!"]
NAMES = st.lists(st.text(min_size=1) | st.sampled_from(ALIKE), min_size=1, max_size=12, unique=True)


@given(NAMES)
def test_the_keys_of_distinct_names_are_distinct_and_plain(names):
    keys = metric_keys(names)
    assert len(set(keys)) == len(names)
    spelled = list(map(printable, names))
    assert metric_keys(spelled) == keys or len(set(spelled)) < len(names)
    assert all(key and set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789_") for key in keys)


def test_the_keys_of_published_classes_stay():
    assert metric_keys(list(CLASSES["dynamic_world"])) == (
        "water",
        "trees",
        "grass",
        "flooded_vegetation",
        "crops",
        "shrub_scrub",
        "built_area",
        "bare_ground",
        "snow_ice",
    )
    assert "industrial_commercial_transport" in metric_keys(list(CLASSES["osm"]))


def test_keys_are_worked_out_by_hand():
    assert metric_keys(["水", "Forêt", "a b", "a-b", "класс", "1", "🌲", "a/b", "class 0"]) == (
        "class_0_0",  # "class 0" spells class_0 itself
        "foret",
        "a_b",
        "a_b_3",
        "class_4",
        "1",
        "class_6",
        "a_b_7",
        "class_0",
    )
    assert len(metric_keys(["x" * 5000])[0]) == 64


@pytest.mark.parametrize(
    "names",
    [
        ["水", "森林"],
        ["ماء", "غابة"],
        ["🌊", "🌲"],
        ["a, b", 'c "d"', "e\nf", "<g> & h", "i/j", "x" * 1000, "=1+1", "$\\alpha$", "_k"],
        [f"class {c}" for c in range(255)],
    ],
)
def test_any_distinct_strings_are_names(names):
    assert check_class_names(names) == tuple(names)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "here names 1 class: a segmentation needs 2 to 255"),
        ([], "here names 0 classes"),
        ([str(c) for c in range(256)], "here names 256 classes"),
        (["a", "b", "a"], "here: classes 0 and 2 are both named a: class names must be distinct"),
        (["a", 7], "here: class 1 is 7, no string: quote it, e.g. '7'"),
        (["a", True], "class 1 is True, no string"),
        (["a", None], "class 1 is None, no string"),
        (["a", ["b"]], "no string"),
        (["a", ""], "the name of class 1 is blank"),
        (["a", " \n"], "is blank"),
        (["a", "a "], "the name of class 1, 'a ', begins or ends with a space"),
        (["a", "b\rc"], "control character"),
        (["a", "b" * 1001], r"has 1001 characters: shorten it to at most 1000"),
        (["a", "b\0"], r"class 1, b\\x00, holds a control character"),
        (["a", "\ud800"], "half of a surrogate"),
        ("ab", "here=ab must be a list"),
        (None, "here=None must be a list"),
        ({"a": 1, "b": 2}, "must be a list"),
    ],
)
def test_other_names_are_refused_in_one_sentence(names, message):
    with pytest.raises(ValueError, match=message) as caught:
        check_class_names(names, "here")
    assert len(str(caught.value).splitlines()) == 1
