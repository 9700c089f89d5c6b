"""Real places and published files, from the command line to the picture."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from cromss.dataset.classes import CLASSES
from cromss.dataset.folder import FolderReader
from cromss.dataset.reference import open_reference
from helpers.entrypoint import metrics
from helpers.published import published_lmdbs
from helpers.shared import REAL_PLACES, needs_shared

SMOKE = ["trainer=smoke", "trainer.wandb=disabled"]


def check_picture(folder, labels):
    """The last picture shows every frequent class of `labels` in its colour."""
    drawn = np.asarray(Image.open(sorted(folder.glob("panels/*.png"))[-1]).convert("RGB"))
    pixels = {tuple(colour) for colour in np.unique(drawn.reshape(-1, 3), axis=0)}
    colours = list(CLASSES["dynamic_world"].values())
    frequent = np.flatnonzero(np.bincount(labels[labels < len(colours)], minlength=len(colours)) > 0.02 * labels.size)
    assert len(frequent) > 1
    for label in frequent:
        assert tuple(round(255 * part) for part in to_rgb(colours[label])) in pixels


@needs_shared
def test_real_places_become_a_store_and_pretrain(train, prepare, tmp_path):
    prepare("source=folder", f"path={REAL_PLACES}", "out=real.store")
    assert "3 locations" in prepare("action=verify", "path=real.store").stdout
    done = train("dataset=nol", "dataset.path=real.store", *SMOKE)
    (folder,) = (tmp_path / "outputs").iterdir()
    assert float(metrics(folder)[-1]["val/loss"]) > 0
    assert "truth" not in done.stdout
    reader = FolderReader(
        REAL_PLACES, {"s1": "s1.tif", "s2": "s2.tif"}, "dw.tif", None, list(CLASSES["dynamic_world"]), 0, {}
    )
    check_picture(folder, np.stack([reader.read_labels(index) for index in range(3)]))


@pytest.mark.slow
@needs_shared
def test_real_places_pretrain_as_they_are(train, tmp_path):
    train("dataset=folder", f"dataset.path={REAL_PLACES}", "trainer=smoke", "trainer.wandb=disabled", "dataset.bands=3")
    (folder,) = (tmp_path / "outputs").iterdir()
    assert float(metrics(folder)[-1]["val/loss"]) > 0


@pytest.mark.slow
def test_published_files_pretrain_as_they_are(train, tmp_path):
    train("dataset=nol", f"dataset.path={published_lmdbs()}", *SMOKE)
    (folder,) = (tmp_path / "outputs").iterdir()
    assert float(metrics(folder)[-1]["val/loss"]) > 0
    reader = open_reference(published_lmdbs(), "nol")
    check_picture(folder, np.stack([reader.read_labels(index)[0] for index in range(len(reader))]))


@pytest.mark.slow
def test_published_files_become_a_store(prepare):
    prepare("source=reference", f"path={published_lmdbs()}", "out=nol.store")
    prepare("action=verify", "path=nol.store")
