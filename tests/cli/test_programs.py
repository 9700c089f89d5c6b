"""What all programs share: help and mistakes at once, one sentence per mistake, and nothing left behind."""

import os
import subprocess
import sys

import pytest

from cromss.cli.__main__ import main
from cromss.cli.compose import compose_config
from cromss.cli.help import PROGRAMS
from cromss.cli.run import run
from cromss.config import UserError
from helpers.entrypoint import SMALL, metrics

SLOW = ("torch", "lightning", "rasterio", "wandb", "matplotlib", "scipy", "optuna", "submitit")
FRESH = """
import sys
from cromss.cli.__main__ import main
try:
    main()
finally:
    print([name for name in {slow} if name in sys.modules], file=sys.stderr)
"""
MISTAKES = {
    "train": ["trainer.epochs=abc"],
    "prepare": ["source=folder", "path=nowhere", "out=a.store"],
    "predict": ["checkpoint=nowhere.ckpt", "s2=nowhere.tif", "out=map.tif"],
    "report": ["format=pdf"],
    "export": ["checkpoint=nowhere.ckpt", "out=a.safetensors", "modality=s2"],
}


def fresh(folder, *arguments, **variables):
    """Calls the program in a process of its own, which names the slow libraries that it loaded in its last line."""
    code = FRESH.format(slow=SLOW)
    environment = os.environ | variables
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def told(monkeypatch, capfd, *arguments):
    """What the program says of a mistake."""
    monkeypatch.setattr("sys.argv", ["cromss", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    said = capfd.readouterr().err if end.value.code == 1 else str(end.value.code)
    assert "Traceback" not in said
    assert "HYDRA_FULL_ERROR" not in said
    assert "Error executing job" not in said
    return said


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_a_mistake_load_nothing_slow(program, tmp_path):
    helped = fresh(tmp_path, program, "--help")
    assert f"cromss {program}" in helped.stdout
    assert helped.stderr.splitlines()[-1] == "[]"
    refused = fresh(tmp_path, program, *MISTAKES[program])
    assert refused.returncode == 1
    *said, loaded = refused.stderr.splitlines()
    assert loaded == "[]"
    assert any(text in "\n".join(said) for text in (*MISTAKES[program], "nowhere"))
    assert len(said) <= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["train", "+fusoin=late"], "There is no key fusoin: did you mean fusion"),
        (["train", "+trainer.foo=1"], "There is no key trainer.foo"),
        (["train", "++x.y=2"], "There is no key x"),
        (["train", "~trainer"], "~trainer"),
        (["train", "-m", "+fusoin=late,mid"], "There is no key fusoin: did you mean fusion"),
        (["predict", "+chekpoint=1", "s2=a", "out=b.tif", "checkpoint=c"], "did you mean checkpoint"),
        (["report", "++x.y=2"], "There is no key x"),
        (["prepare", "+download.dw.dys=1"], "did you mean download.dw.days"),
        (["export", "~out"], "~out cannot be removed"),
        (["trian"], "There is no program 'trian': choose one of train"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_key_that_does_not_exist_is_refused_and_leaves_no_folder(arguments, key, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert key in told(monkeypatch, capfd, *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["hydra.run.dir=a/b/run", "fusion=single"],
        pytest.param(["hydra.run.dir=a/b/run", *SMALL, "trainer.monitor=val/s2/mio"], marks=pytest.mark.slow),
        ["-m", "hydra.sweep.dir=a/b/sweep", "seed=1,2", "fusion=single"],
    ],
    ids=["settings", "metric", "sweep"],
)
def test_a_failed_start_removes_the_folders_that_it_created_alone(arguments, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "a").mkdir()
    assert told(monkeypatch, capfd, "train", *arguments)
    assert list((tmp_path / "a").iterdir()) == []
    (tmp_path / "a" / "b").mkdir()
    (tmp_path / "a" / "b" / "notes.log").touch()
    assert told(monkeypatch, capfd, "train", *arguments)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["notes.log"]


def test_a_run_starts_from_python(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    composed = compose_config([*SMALL, "trainer.epochs=1", "trainer.progress_bar=false"])
    run(composed, folder="here")
    assert len(metrics(tmp_path / "here")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"here"}
    with pytest.raises(UserError, match="did you mean trainer.epochs"):
        compose_config(["trainer.epoch=1"])


def test_completion_names_programs_groups_and_options(tmp_path):
    def completed(line):
        done = fresh(tmp_path, "-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
        return done.stdout.split()

    assert completed("cromss pre") == ["prepare", "predict"]
    assert "fusion=" in completed("cromss train fus")
    assert "fusion=late" in completed("cromss train fusion=l")
    assert "overwrite=" in " ".join(completed("cromss report over"))
    assert "complete" in fresh(tmp_path, "-sc", "install=bash").stdout
