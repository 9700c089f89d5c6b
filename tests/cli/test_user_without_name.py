"""A user whom the system has no name for, as in a container that is started with a number for a user."""

import os
import shutil
import subprocess
import sys

import pytest

from helpers.entrypoint import ROOT, SMALL

NUMBER = 12345
# Read permission alone: the interpreter may lie in a folder of root.
AS_USER = [
    *("setpriv", f"--reuid={NUMBER}", f"--regid={NUMBER}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]
pytestmark = pytest.mark.skipif(
    os.getuid() != 0
    or shutil.which("setpriv") is None
    or subprocess.run([*AS_USER, sys.executable, "-c", ""], capture_output=True, check=False).returncode != 0,
    reason="needs root, who may become another user",
)


@pytest.fixture
def folder(tmp_path):
    """A folder of that user, which others may pass through."""
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o011)
    os.chown(tmp_path, NUMBER, NUMBER)
    return tmp_path


def call(folder, *command, **variables):
    named = ("HOME", "XDG_CACHE_HOME", "LOGNAME", "USER", "LNAME", "USERNAME")
    env = {name: value for name, value in os.environ.items() if name not in named}
    env |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(
        [*AS_USER, sys.executable, *command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("home", [None, pytest.param("/nonexistent", marks=pytest.mark.slow)])
def test_without_a_home_one_sentence_says_where_to_write(folder, home):
    end = call(folder, str(ROOT / "train.py"), *SMALL, **({} if home is None else {"HOME": home}))
    assert end.returncode == 1
    assert "Traceback" not in end.stderr
    assert "set dataset.cache=FOLDER" in end.stderr.splitlines()[-1]


@pytest.mark.slow
@pytest.mark.parametrize("home", [None, "/nonexistent", "home"])
def test_a_run_trains_and_its_store_is_verified(folder, home):
    variables = {} if home is None else {"HOME": str(folder / home)}
    end = call(folder, str(ROOT / "train.py"), *SMALL, "hydra.run.dir=run", "dataset.cache=cache", **variables)
    assert end.returncode == 0, end.stderr
    assert (folder / "run" / "checkpoints" / "last.ckpt").stat().st_uid == NUMBER
    store = next((folder / "cache").glob("synthetic-*"))
    end = call(folder, "-m", "cromss.prepare", "action=verify", f"path={store}", **variables)
    assert end.returncode == 0, end.stderr
