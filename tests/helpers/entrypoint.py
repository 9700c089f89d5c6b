"""Calls the project as a user does: a new process, from another folder."""

import csv
import multiprocessing
import os
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["dataset.locations=12", "dataset.size=40", "dataset.crop=32", "trainer=smoke", "trainer.wandb=disabled"]


def latest(overrides):
    """Of a key that is given twice the last value alone, as the program itself refuses two."""
    return list({text.partition("=")[0] if "=" in text else text: text for text in overrides}.values())


def start(*command, cwd, cache, **options):
    """Starts ``train.py`` or ``-m <module>`` in folder `cwd`, with the embedded dataset cached in `cache`."""
    program = [str(ROOT / "train.py"), *latest(command[1:])] if command[0] == "train.py" else list(command)
    return subprocess.Popen(
        [sys.executable, *program],
        cwd=cwd,
        env=os.environ | {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "default"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def run_forked(*overrides):
    """Runs ``train.py`` in this process, which `multiprocessing` started; its own processes are started as usual."""
    multiprocessing.set_start_method("fork", force=True)
    sys.argv = ["train.py", *latest(overrides)]
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


def finish(running, check, timeout=240):
    """Waits for a process and returns its end; where `check`, one that failed fails the test with all it said."""
    with running:
        stdout, stderr = running.communicate(timeout=timeout)
    assert not check or running.returncode == 0, stdout + stderr
    return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)


def metrics(folder):
    """The rows of a run's metrics file."""
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))
