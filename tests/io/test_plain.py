"""Bounded plain data: what is read, and what is refused in one sentence."""

import os
import time

import pytest
from pydantic import Field

from cromss.io.plain import Limits, NotPlainError, Record, literal, parse, read_file, read_json, read_yaml, shown
from helpers.hostile import JSON_TEXTS, YAML_TEXTS, mutations, values


class Size(Record):
    height: int = Field(ge=1)
    names: list[str]


class Whole(Record):
    size: Size
    share: float = Field(ge=0, le=1)
    note: str | None = None


VALID = {"size": {"height": 3, "names": ["a"]}, "share": 1, "note": None}


def test_yaml_is_read_as_omegaconf_writes_it():
    text = b"a: 1.0e-08\nb: 1e-8\nc: [1, -2, 2.5, true, null]\nd: 2020-01-01\ne: 1:30\nf: '0x'\ng: 0x10\nh: {<<: 1}"
    assert read_yaml(text) == {
        "a": 1e-8, "b": 1e-8, "c": [1, -2, 2.5, True, None], "d": "2020-01-01", "e": "1:30", "f": "0x", "g": 16,
        "h": {"<<": 1},
    }  # fmt: skip


def test_whole_numbers_become_shares_and_nothing_else_is_converted():
    assert parse(Whole, VALID).share == 1.0
    for wrong in ({**VALID, "share": True}, {**VALID, "size": {"height": 3.0, "names": []}}, {**VALID, "note": 1}):
        with pytest.raises(NotPlainError):
            parse(Whole, wrong)


@pytest.mark.parametrize("name", [name for name in JSON_TEXTS if name not in ("list", "text", "null")])
def test_hostile_json_is_refused(name):
    with pytest.raises(NotPlainError) as caught:
        read_json(JSON_TEXTS[name])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in YAML_TEXTS if name not in ("nothing", "text")])
def test_hostile_yaml_is_refused(name):
    with pytest.raises(NotPlainError) as caught:
        read_yaml(YAML_TEXTS[name])
    assert "\n" not in str(caught.value)


def test_a_record_takes_every_hostile_form_as_data_or_refuses_it(tmp_path):
    canary = tmp_path / "canary"
    refused = {}
    for change, document in mutations(VALID, canary):
        try:
            parse(Whole, document)
        except NotPlainError as error:
            refused[change] = str(error)
    assert len(refused) > 100
    assert [change for change, message in refused.items() if "\n" in message or len(message) > 400] == []
    assert not canary.exists()


def test_what_a_config_would_resolve_is_not_literal(tmp_path):
    for name, form in values(tmp_path / "canary").items():
        if isinstance(form, str) and ("${" in form or form == "???"):
            with pytest.raises(NotPlainError):
                literal({"a": [form]})
            with pytest.raises(NotPlainError):
                literal({form: 1})
        elif name != "deep":
            assert literal([form]) == [form] or form != form


def test_a_pipe_a_folder_and_a_large_file_are_refused_before_they_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * 11)
    with pytest.raises(NotPlainError, match="regular"):
        read_file(tmp_path / "pipe")
    with pytest.raises(NotPlainError, match="regular"):
        read_file(tmp_path)
    with pytest.raises(NotPlainError, match="11 bytes"):
        read_file(tmp_path / "large", Limits(size=10))
    assert read_file(tmp_path / "large", Limits(size=11)) == b"x" * 11
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "absent")


def test_messages_show_no_control_characters_and_no_endless_values():
    assert shown("\x1b[2J") == "\\x1b[2J"
    assert len(shown("x" * 10_000)) < 200


def test_very_many_keys_of_which_the_last_is_there_twice():
    begun = time.monotonic()
    keys = b",".join(b'"%d": 0' % number for number in range(200_000))
    with pytest.raises(NotPlainError, match="names the key 199999 twice"):
        read_json(b'{%s, "199999": 0}' % keys)
    assert time.monotonic() - begun < 5
