"""What the settings of the programs beside training may be."""

import contextlib
import subprocess
import sys

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from cromss.cli.command import run_command
from cromss.config.programs import PROGRAMS
from cromss.config.resolvers import register_resolvers
from cromss.config.settings import find_problems
from cromss.io.package_data import config_dir

register_resolvers()
ODD = [1.5, [1], True, {"a": 1}, -3, "nan", "", float("inf"), None, "a\0b"]


def defaults(name):
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        return OmegaConf.to_container(compose(name), resolve=True)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_model_has_the_keys_of_the_yaml_and_allows_its_defaults(name):
    settings = defaults(name)
    assert set(PROGRAMS[name].model_fields) == set(settings)
    given = {key for key, value in settings.items() if value is not None}
    assert not [problem for problem in find_problems(PROGRAMS[name], settings) if problem.key in given]


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_odd_value_of_any_key_is_reported_in_one_sentence_with_the_key(name):
    settings = defaults(name)
    before = set(find_problems(PROGRAMS[name], settings))
    for key in settings:
        for odd in ODD:
            for problem in set(find_problems(PROGRAMS[name], settings | {key: odd})) - before:
                assert key in problem.sentence
                assert "\n" not in problem.sentence


BASE = {
    "prepare": ["source=dw", "path=a", "out=b"],
    "predict": ["checkpoint=a", "s2=b", "out=c.tif"],
    "report": [],
    "export": ["checkpoint=a", "out=b", "modality=s2"],
}


def call(program, typed, monkeypatch, capfd):
    """What the program would work on, or what it says instead."""
    keys = [text.partition("=")[0] for text in typed]
    base = [text for text in BASE[program] if text.partition("=")[0] not in keys]
    monkeypatch.setattr("sys.argv", [program, *base, *typed])
    taken = []
    with contextlib.suppress(SystemExit):
        run_command(program, taken.append, "nothing happened.")
    return taken[0] if taken else capfd.readouterr().err


@pytest.mark.parametrize(
    ("program", "typed", "idle"),
    [
        ("prepare", ["folder.labels=x"], "folder.labels=x"),
        ("prepare", ["source=folder", "dw.cut=102"], "dw.cut=102"),
        ("prepare", ["reference.kind=osm"], "reference.kind=osm"),
        ("prepare", ["download.dw.days=3"], "download.dw.days=3"),
        ("prepare", ["action=download", "path=null", "download.osm.scale=1"], "download.osm.scale=1"),
        ("prepare", ["action=verify", "source=null", "out=null", "quantise=false"], "quantise=false"),
        ("prepare", ["export.size=40"], "export.size=40"),
        ("prepare", ["action=export", "source=null", "path=null", "overwrite=true"], "overwrite=true"),
        ("prepare", ["action=export", "source=null", "path=raw"], "path=raw"),
        ("prepare", ["action=examples", "source=null", "path=null", "export.world=1"], "export.world=1"),
        ("predict", ["units.s1=db"], "units.s1=db"),
        ("predict", ["align=true"], "align=true"),
        ("report", ["status=a", "format=csv"], "format=csv"),
        ("report", ["wandb=a", "runs=b"], "runs=b"),
    ],
)
def test_a_setting_without_effect_is_refused(program, typed, idle, monkeypatch, capfd):
    said = call(program, typed, monkeypatch, capfd)
    assert f"{idle} has no effect" in said


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        ("prepare", ["action=plan", "dw.cut=102", "quantise=false", "overwrite=true"]),
        ("prepare", ["source=reference", "reference.kind=osm"]),
        ("predict", ["s1=x", "align=true", "units.s1=db", "s2_offset=0"]),
        ("report", ["format=csv", "runs=[a,b]"]),
    ],
)
def test_a_setting_with_an_effect_is_taken(program, typed, monkeypatch, capfd):
    assert isinstance(call(program, typed, monkeypatch, capfd), dict)


@pytest.mark.parametrize(
    ("program", "typed"),
    [
        ("prepare", "path=https://user:secret@host/x"),
        ("predict", "s2=s3://bucket/x.tif"),
        ("report", "runs=https://host/runs"),
        ("export", "out=https://host/x"),
    ],
)
def test_an_address_is_no_path_of_this_machine(program, typed, monkeypatch, capfd):
    said = call(program, [f"{typed[: typed.index('=') + 1]}'{typed[typed.index('=') + 1 :]}'"], monkeypatch, capfd)
    assert f"{typed.replace('user:secret', '***')} is an address" in said


def test_an_encoder_is_exported_from_an_address_too(monkeypatch, capfd):
    taken = call("export", ["checkpoint='https://host/x.ckpt'"], monkeypatch, capfd)
    assert taken["checkpoint"] == "https://host/x.ckpt"


@pytest.mark.parametrize("module", ["cromss.cli.prepare", "cromss.cli.export", "cromss.cli.predict"])
def test_mistakes_are_reported_before_torch_is_loaded(module):
    """The name of the classes is looked up by every command."""
    code = f"import sys, {module}, cromss.dataset.classes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
