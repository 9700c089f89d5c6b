"""The README's commands, as they stand there, in a clone that has nothing beside it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.entrypoint import ROOT

BLOCKS = re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_readme_fits_on_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
    assert len(BLOCKS) >= 3


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_command_of_the_readme_ends_well(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        "WANDB_MODE": "offline",
        "MPLBACKEND": "agg",
    }
    for block in BLOCKS:
        # `make` sets up an environment of its own; continuous integration runs these targets.
        script = re.sub(r"^make .*$", "", block, flags=re.MULTILINE)
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=clone,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, f"{script}\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}"
