import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from cromss.cli.predict import main
from helpers.entrypoint import latest


@pytest.fixture
def predict(tmp_path, monkeypatch):
    """Runs cromss.predict in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*overrides):
        monkeypatch.setattr("sys.argv", ["predict", *latest(["progress_bar=false", *overrides])])
        main()

    return call


@pytest.fixture
def mapping(tmp_path):
    """Runs cromss.predict in a process of its own, in an empty folder, until it has begun to map."""

    @contextmanager
    def call(*overrides):
        process = subprocess.Popen(
            [sys.executable, "-m", "cromss.predict", *overrides],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            while "window" not in process.stderr.readline():
                assert process.poll() is None
            yield process

    return call
