"""An installed wheel stands on its own: its programs, its YAML and its help, in an empty folder."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import cromss
from helpers.entrypoint import ROOT, SMALL

pytest.importorskip("hatchling")


def called(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """An environment with the wheel, which finds all other packages where these tests have them."""
    folder = tmp_path_factory.mktemp("wheel")
    called(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    called(sys.executable, "-m", "venv", "--without-pip", folder / "venv")
    called(*PIP, "--python", folder / "venv", "install", "--no-deps", "--no-index", wheel)
    # Last, so that pip sees nothing but the new environment.
    (own,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (own / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv" / "bin"


PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


@pytest.fixture
def program(environment, tmp_path):
    """Calls `cromss` of the wheel in an empty folder."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    (tmp_path / "empty").mkdir()
    return lambda *arguments: called(environment / "cromss", *arguments, cwd=tmp_path / "empty", env=variables)


def test_the_programs_have_their_yaml_and_help(program, environment):
    assert program("--version").startswith(f"cromss {cromss.__version__}, torch ")
    assert "selection.prop=0.5" in program("train", "--help")
    assert "- trainer.epochs = " in program("train", "--help", "trainer")
    assert "locations:" in program("train", "experiments=few_labels", "--cfg", "job", "--package", "dataset")
    used = called(environment / "python", "-c", "import cromss; print(cromss.__file__)", env={}).strip()
    assert Path(used).is_relative_to(environment.parent)
    assert (Path(used).parent / "py.typed").exists()


@pytest.mark.slow
def test_a_smoke_run_trains(program, tmp_path):
    program("train", *SMALL, "trainer.epochs=1", "hydra.run.dir=run")
    assert (tmp_path / "empty" / "run" / "checkpoints" / "last.ckpt").is_file()
