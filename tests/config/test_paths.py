"""Paths on a command line arrive as they were typed, in every program and for every key that takes one."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from cromss.config import UserError
from cromss.config.instantiation import instantiate
from cromss.config.paths import (
    literal_paths,
    path_keys,
    uninterpolated,
    with_folder_of_lightning,
)
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir

register_resolvers()

PROGRAMS = ("predict", "prepare", "report", "export")
NAMES = [
    *(
        "scene (1).tif",
        "a,b",
        "S2#1.tif",
        "a&b",
        "it's",
        '"',
        "'",
        "[a]",
        "{a}",
        "{a:b}",
        "!a",
        "a;b",
        "a:b",
        "a=1,b=2",
    ),
    *("a+b", "a@b", "50%", "$x", "a\\b", "a\\", "\\'", "${x}", "a${x", "\\${x}\\", "${oc.env:HOME}", "a b", " a", "a "),
    *("日本", "é.tif", "мир", "true", "2020", "1e5", "nan", "-x", "+x", "choice(a,b)", "a?b", "GTIFF_DIR:1:x.tif"),
    *("/vsicurl/x", "https://host/a?b=c&d=(e)", "a\nb", "a\tb", "*", "<a>|b", "`id`", "%j", "@x"),
]
ALL_AT_ONCE = "${x} (1),é'[a]{b:c};\\"
TOGETHER = [
    (
        "train",
        [key for key in path_keys("train") if key != "dataset.train_path" and not key.startswith("dataset.cache")],
    ),
    ("train", ["dataset.train_path"]),
    ("train", ["dataset.cache"]),
    *((program, list(path_keys(program))) for program in PROGRAMS),
]
BASE = {"dataset.path": ["dataset=folder"], "dataset.train_path": ["dataset=dw", "trainer=finetune"]}


def arrived(program, *typed):
    """What a program is given, after the parser and both ways of resolving: key -> value."""
    overrides = literal_paths(typed, program)
    assert literal_paths(overrides, program) == overrides
    keys = [text.partition("=")[0] for text in typed]
    base = [option for key in keys for option in BASE.get(key, [])] if program == "train" else []
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("config" if program == "train" else program, [*base, *overrides], return_hydra_config=True)
    resolved = OmegaConf.to_container(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), resolve=True)
    values = {key: OmegaConf.select(cfg, key) for key in keys}
    for key in keys:
        node = resolved
        if not key.startswith("hydra."):
            for part in key.split("."):
                node = node[part]
            assert node == values[key]
    return values


def each_arrives(program, keys, name):
    keys = [key for key in keys if not (path_keys(program)[key].several and name.startswith("["))]
    # A group of paths and its parts are one key.
    parts = [f"{key}.{part}" for key in keys for part in path_keys(program)[key].parts]
    keys = [key for key in keys if key not in parts and key != "examples"]
    expected = dict.fromkeys(keys, name)
    assert arrived(program, *(f"{key}={name}" for key in keys)) == expected


@pytest.mark.parametrize(("program", "keys"), TOGETHER)
def test_every_path_key_takes_a_path_literally(program, keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    each_arrives(program, keys, ALL_AT_ONCE)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_taken_literally(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    each_arrives("predict", list(path_keys("predict")), name)


@pytest.mark.parametrize("name", ["${x} (1)", "é,b"])
def test_names_of_parts_are_literal_too(name):
    assert set(arrived("prepare", f"folder.files.s1={name}", f"folder.files.s2={name}").values()) == {name}


@pytest.mark.slow
@pytest.mark.parametrize(("program", "keys"), TOGETHER)
def test_every_name_for_every_key(program, keys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        each_arrives(program, keys, name)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12))
def test_any_text_is_taken_literally_and_quoting_is_idempotent(text):
    if text.startswith("~") or text in ("???",) or (text[0] == text[-1] and text[0] in "'\""):
        return  # each has a rule of its own
    overrides = literal_paths([f"checkpoint={text}"], "predict")
    assert literal_paths(overrides, "predict") == overrides
    value = OverridesParser.create().parse_override(overrides[0]).value()
    cfg = OmegaConf.create({"path": None, "reference": "${path}"})
    cfg.path = value
    assert OmegaConf.to_container(cfg, resolve=True) == {"path": text, "reference": text}


@given(st.text(st.sampled_from("\\${}x'\""), max_size=8))
def test_a_part_is_handed_the_text_whatever_is_in_it(text):
    cfg = OmegaConf.create({"path": None, "part": {"_target_": "builtins.dict", "one": "${path}", "deep": ["${path}"]}})
    cfg.path = uninterpolated(text)
    assert instantiate(cfg.part, more=text) == {"one": text, "deep": [text], "more": text}


def test_keys_that_are_no_paths_keep_hydras_grammar():
    typed = ["seed=1,2", "dataset.classes=[a,b]", "-m", "selection.prop=choice(0.1,0.2)"]
    assert literal_paths(typed, "train") == typed


def test_null_unsets_a_key_unless_a_file_has_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert arrived("predict", "s2=null")["s2"] is None
    assert arrived("predict", "checkpoint=null")["checkpoint"] is None
    assert arrived("predict", "s2=./null")["s2"] == "./null"
    Path("null").touch()
    assert arrived("predict", "s2=null")["s2"] == "null"
    assert arrived("train", "trainer.resume=null")["trainer.resume"] is None
    assert arrived("train", "trainer.resume=auto")["trainer.resume"] == "auto"


def test_several_paths_are_a_list_unless_a_file_has_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert arrived("report", "runs=[a b,c(d), 'e,f']")["runs"] == ["a b", "c(d)", "e,f"]
    Path("[a,b]").mkdir()
    assert arrived("report", "runs=[a,b]")["runs"] == "[a,b]"
    assert arrived("predict", "s2=[a,b]")["s2"] == "[a,b]"


def test_paths_by_modality_are_literal_too():
    value = arrived("train", "backbone.weights_path={s1: /a (1)/x.ckpt, s2: https://h/y?z=1}")["backbone.weights_path"]
    assert value == {"s1": "/a (1)/x.ckpt", "s2": "https://h/y?z=1"}


@pytest.mark.parametrize(
    ("typed", "values"),
    [
        ("a,b", ["a", "b"]),
        ("a (1),it's", ["a (1)", "it's"]),
        ("'a,b',c", ["a,b", "c"]),
        ("choice(a,b)", ["a", "b"]),
        ("${x},日", ["\\${x}", "日"]),
    ],
)
def test_a_comma_separates_in_a_sweep_unless_it_is_quoted(typed, values):
    _, override = literal_paths(["-m", f"dataset.path={typed}"], "train")
    parsed = OverridesParser.create().parse_override(override)
    swept = [OverridesParser.create().parse_override(f"k={text}").value() for text in parsed.sweep_string_iterator()]
    assert swept == values


def test_folders_of_runs_hold_commas_also_in_a_sweep():
    assert literal_paths(["-m", "hydra.sweep.dir=a,b"], "train")[1] == "hydra.sweep.dir='a,b'"


def test_a_tilde_is_the_home_folder_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert arrived("predict", "checkpoint=~/a (1)")["checkpoint"] == "~/a (1)"
    assert arrived("predict", "checkpoint=~x.tif")["checkpoint"] == "./~x.tif"
    assert arrived("train", "hydra.run.dir=~/runs (1)")["hydra.run.dir"] == f"{tmp_path}/runs (1)"


def test_no_home_folder_and_names_that_are_no_text_are_reported(monkeypatch):
    monkeypatch.setattr("cromss.config.paths._expanded", lambda text: text)
    with pytest.raises(UserError, match=r"out=~/x needs a home folder.*HOME"):
        literal_paths(["out=~/x"], "predict")
    with pytest.raises(UserError, match="out=.*UTF-8"):
        literal_paths(["out=a\udcff"], "predict")


@pytest.mark.parametrize("folder", ["outputs/defaults", 'a${x} (1)"q\\', "é,b", "it's"])
def test_a_process_that_lightning_starts_finds_the_folder_of_its_run(folder):
    typed = ["seed=2", f'hydra.run.dir="{folder}"', "hydra.job.name=train_ddp_process_1", "hydra.output_subdir=null"]
    overrides = with_folder_of_lightning(typed)
    assert literal_paths(overrides, "train") == overrides
    assert [text for text in overrides if not text.startswith("hydra.run.dir")] == [typed[0], *typed[2:]]
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        cfg = compose("config", overrides, return_hydra_config=True)
    assert cfg.hydra.run.dir == folder


def test_quotes_that_a_user_typed_around_the_folder_are_those_of_hydras_grammar():
    typed = ['hydra.run.dir="a b"', "hydra.job.name=mine"]
    assert with_folder_of_lightning(typed) == typed
