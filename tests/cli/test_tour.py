"""`make tour`, in small: from noisy labels to a map of a real place."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import rasterio

from helpers.entrypoint import ROOT
from helpers.shared import REAL_PLACES, needs_shared

SMALL = "dataset.size=40 dataset.crop=32 dataset.locations=6 trainer.epochs=1 trainer.panel_samples=2"
SMALL += " trainer.wandb=disabled trainer.progress_bar=false"


@pytest.mark.slow
@needs_shared
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_tour_goes_from_noisy_labels_to_a_map(tmp_path, cache):
    folder, place = tmp_path / "tour", REAL_PLACES / "637U_59R_1_3"
    # Without setup: the environment is the one that runs this test.
    command = [
        "make",
        "-o",
        "setup",
        "tour",
        f"PY={sys.executable}",
        f"TOUR={folder}",
        f"PLACE={place}",
        f"ARGS={SMALL}",
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(path.read_text()) for path in folder.rglob("results.json")]
    assert sorted((run["weights"] != [], run["seed"]) for run in found) == [
        (pretrained, seed) for pretrained in (False, True) for seed in (1, 2, 3)
    ]
    assert all(run["weights"][0]["missing"] == [] for run in found if run["weights"])
    assert re.search(r"^tu-resnet18 +random .* 3 seeds", done.stdout, re.MULTILINE)
    assert re.search(r"^tu-resnet18 +cromss last.ckpt .* 3 seeds", done.stdout, re.MULTILINE)
    with rasterio.open(folder / "map.tif") as map_, rasterio.open(place / "s2.tif") as image:
        assert (map_.crs, map_.transform, map_.shape) == (image.crs, image.transform, image.shape)
    assert (folder / "map.png").stat().st_size > 10_000

    again = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert again.returncode != 0
    assert "holds an earlier tour: remove it, or say TOUR=FOLDER" in again.stdout
