"""The typed settings: what they take, and what they say of the rest."""

from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, Field

from cromss.config.mistakes import UserError, check_given_once
from cromss.config.settings import (
    Count,
    Means,
    PathText,
    Positive,
    Settings,
    Share,
    Text,
    allowed,
    as_typed,
    did_you_mean,
    find_problems,
    keys_of,
)


def distinct(names):
    if len(set(names)) < len(names):
        raise ValueError("must be distinct")
    return names


class Part(Settings):
    lr: Positive
    """The rate."""

    sizes: dict[str, Count]
    """By name."""


class Whole(Settings):
    count: Count
    """A number
    of things."""

    share: Share
    switch: bool
    mode: Literal["last", "best", None]
    crop: Literal["auto"] | Count
    names: Annotated[list[Text], Field(min_length=2), AfterValidator(distinct)]
    path: PathText | None
    colour: Annotated[str, Means("a colour")]
    part: Part
    maybe: Part | None


GOOD = {
    "count": 3,
    "share": 1,
    "switch": False,
    "mode": None,
    "crop": "auto",
    "names": ["a", "b"],
    "path": 2020,
    "colour": "red",
    "part": {"lr": 1, "sizes": {"s1": 1}},
    "maybe": None,
}


def test_what_fits_has_no_problems():
    assert find_problems(Whole, GOOD) == []
    assert find_problems(Whole, GOOD | {"path": "a b", "crop": 32, "maybe": GOOD["part"], "share": 0.5}) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"count": True}, "group.count=true must be a whole number of at least 1"),
        ({"count": None}, "group.count=null must be a whole number of at least 1"),
        ({"count": 2.0}, "group.count=2.0 must be a whole number of at least 1"),
        ({"count": 0}, "group.count=0 must be a whole number of at least 1"),
        ({"count": "3"}, "group.count='3' must be a whole number of at least 1"),
        ({"count": 10**5000}, "group.count=a number of very many digits must be a whole number of at least 1"),
        ({"share": float("nan")}, "group.share=nan must be a number in [0, 1]"),
        ({"share": [1, {"a": None}]}, "group.share=[1, {a: null}] must be a number in [0, 1]"),
        ({"switch": "no"}, "group.switch=no must be true or false"),
        ({"switch": 1}, "group.switch=1 must be true or false"),
        ({"mode": "first"}, "group.mode=first must be one of last, best, null"),
        ({"crop": "abc"}, "group.crop=abc must be auto, or a whole number of at least 1"),
        ({"crop": True}, "group.crop=true must be auto, or a whole number of at least 1"),
        ({"names": "ab"}, "group.names=ab must be a list of at least 2, each non-empty text"),
        ({"names": ["a"]}, "group.names=[a] must be a list of at least 2, each non-empty text"),
        ({"names": ["a", 1]}, "group.names=[a, 1] must be a list of at least 2, each non-empty text"),
        ({"names": ["a", "a"]}, "group.names=[a, a] must be distinct"),
        ({"path": ""}, "group.path='' must be a path, or null"),
        ({"path": "a\0b"}, "group.path=a\\x00b must"),
        ({"path": "\udc80"}, "group.path=\\udc80 must be a path, or null"),
        ({"path": True}, "group.path=true must be a path, or null"),
        ({"colour": 0.5}, "group.colour=0.5 must be a colour"),
        ({"part": 1}, "group.part=1 must be keys with values: lr, sizes"),
        ({"part": {"lr": 0, "sizes": {}}}, "group.part.lr=0 must be a number above 0"),
        ({"part": {"sizes": {}}}, "group.part.lr has no value: set group.part.lr=..., which must be a number above 0"),
        ({"part": {"lr": 1, "sizes": {"s1": 0}}}, "group.part.sizes.s1=0 must be a whole number of at least 1"),
        ({"part": {"lr": 1, "sizes": {}, "l": 1}}, "There is no key group.part.l: did you mean group.part.lr?"),
        ({"maybe": {"lr": -1, "sizes": {}}}, "group.maybe.lr=-1 must be a number above 0"),
        ({"cont": 1}, "There is no key group.cont: did you mean group.count"),
        ({1: 2}, "There is no key group.1: there are count, share, switch"),
    ],
)
def test_one_sentence_names_key_value_and_what_is_allowed(changes, expected):
    ((_, sentence),) = find_problems(Whole, GOOD | changes, "group")
    assert sentence.startswith(expected)


def test_problems_come_in_the_order_of_the_keys():
    found = find_problems(Whole, GOOD | {"zzz": 1, "part": {"lr": 0, "sizes": {}}, "count": 0})
    assert [key for key, _ in found] == ["count", "part.lr", "zzz"]


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
plain = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6)


@given(key=st.sampled_from(list(GOOD)), value=plain)
def test_any_value_is_taken_or_its_key_is_named(key, value):
    for _, sentence in find_problems(Whole, GOOD | {key: value}, "group"):
        assert f"group.{key}" in sentence
        assert len(sentence.splitlines()) == 1


def test_values_are_shown_as_they_are_typed():
    shown = as_typed([None, True, 1e-8, float("-inf"), "", "a b", {"a": 1}])
    assert shown == "[null, true, 1e-08, -inf, '', a b, {a: 1}]"


def test_what_is_allowed_in_words():
    assert allowed(Annotated[float, Field(gt=0, lt=1)]) == "a number in (0, 1)"
    assert allowed(Annotated[int, Field(le=5)] | None) == "a whole number of at most 5, or null"
    assert allowed(Annotated[list[float], Field(min_length=2, max_length=2)]) == "a list of 2, each a number"


def test_descriptions_are_the_docstrings():
    described = {key: text for key, _, text in keys_of(Whole, "group")}
    assert described["group.count"] == "A number of things."
    assert described["group.maybe.lr"] == "The rate."


def test_close_keys_are_suggested_by_their_spelling_and_their_last_part():
    known = ["selection.prop", "trainer.epochs", "trainer.batch_size"]
    assert did_you_mean("selection.prp", known) == "did you mean selection.prop?"
    assert did_you_mean("prop", known) == "did you mean selection.prop?"
    assert did_you_mean("batchsize", known) == "did you mean trainer.batch_size?"
    assert did_you_mean("qqqq", known, "see help") == "see help"


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["seed=1", "seed=2"], "seed"),
        (["seed=1", "fusion=late", "seed=1"], "seed"),
        (["+seed=1", "seed=2"], "seed"),
        (["++seed=1", "~seed"], "seed"),
        (["-m", "dataset=nol", "dataset=dw"], "dataset"),
        (["trainer/hardware=cpu", "trainer/hardware=gpu"], "trainer/hardware"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(arguments, key):
    with pytest.raises(UserError, match=f"set {key} more than once"):
        check_given_once(arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["seed=1", "dataset.split_seed=1"],
        ["-m", "--config-dir", "a=b", "--info", "all"],
        ["dataset=nol", "dataset.path=seed=1"],
        ["selection.prop=0.5", "+selection=none"],
    ],
)
def test_keys_that_are_given_once_pass(arguments):
    check_given_once(arguments)
