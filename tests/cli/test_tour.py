"""`make tour`, in small: from noisy labels to a map of a new scene and its scores."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
import rasterio

from helpers.entrypoint import ROOT

SMALL = "dataset.size=40 dataset.crop=32 dataset.locations=6 trainer.epochs=1 trainer.panel_samples=2"
SMALL += " trainer.wandb=disabled trainer.progress_bar=false"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_tour_goes_from_noisy_labels_to_a_map(tmp_path, cache):
    folder = tmp_path / "tour"
    # Without setup: the environment is the one that runs this test.
    command = [
        "make",
        "-o",
        "setup",
        "tour",
        f"PY={sys.executable}",
        f"TOUR={folder}",
        "SCENE=export.size=150",
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
    with rasterio.open(folder / "map.tif") as map_, rasterio.open(folder / "scene" / "s2.tif") as image:
        assert (map_.crs, map_.transform, map_.shape) == (image.crs, image.transform, image.shape)
    assert (folder / "map.png").stat().st_size > 10_000
    scores = json.loads((folder / "map_scores.json").read_text())
    assert scores["pixels"] + scores["pixels_left_out"] == 150 * 150
    assert f"mIoU {scores['miou']:.1%}" in done.stdout

    again = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert again.returncode != 0
    assert "holds an earlier tour: remove it, or set TOUR=FOLDER" in again.stdout
