"""Folders of runs that never ran, of any number and length."""

import csv
from itertools import product
from types import MappingProxyType

import numpy as np
import yaml

from cromss.runs.identity import config_hash
from cromss.runs.patches import Column, Patches, write_patches
from helpers.records import BEGUN

CLASSES = MappingProxyType({"water": "#419bdf", "trees": "#397d49", "built area": "#c4281b"})


def config(prop=0.5, fusion="mid", seed=1, lr=1e-3, **dataset):
    """As much of a resolved config as tells runs apart: references stand at several places."""
    return {
        "seed": seed,
        "row": None,
        "dataset": {
            "bands": 13,
            "train_samples": None,
            "classes": list(CLASSES),
            "colours": list(CLASSES.values()),
            "reader": {
                "_target_": "cromss.synthetic.open_synthetic",
                "locations": 12,
                "cache": f"/home/{seed}",
                **dataset,
            },
        },
        "backbone": {
            **{"weights": "none", "weights_path": None, "network": {"encoder": "tu-resnet18"}},
            **{"encoder": "tu-resnet18", "decoder": "unet", "freeze": "none", "freeze_epochs": None},
        },
        "fusion": {"_target_": f"cromss.fusion.{fusion.title()}Fusion", "classes": 3},
        "selection": {"_target_": "cromss.selection.CrossModalSelection", "prop": prop},
        "trainer": {"optimizer": {"lr": lr}, "epochs": 3, "monitor": "val/loss", "workers": seed, "resume": None},
    }


def invent_run(folder, settings, *, curve=(0.3, 0.5, 0.4), state="done", **record):
    """Writes a run whose mIoU is `curve` by epoch; its loss falls where that rises. Returns the folder."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    choices = {"dataset": "synthetic", "fusion": settings["fusion"]["_target_"].rpartition(".")[2][:-6].lower()}
    overrides = [f"selection.prop={settings['selection']['prop']}", f"fusion={choices['fusion']}"]
    known = {"state": state, "name": folder.name, "overrides": overrides, "choices": choices, "error": None}
    known |= {"git_commit": "a" * 40, "config_hash": config_hash(settings), "seed": settings["seed"]}
    BEGUN.model_copy(update={**known, **record}).save(folder)
    write_metrics(folder / "metrics.csv", np.asarray(curve, float))
    return folder


def write_metrics(path, curve):
    """A row an epoch, with a branch and a class more than the curve says."""
    columns = {"epoch": range(len(curve)), "step": range(len(curve)), "train/loss": 2 - curve, "val/loss": 1 - curve}
    for branch, less in (("s1", 0.1), ("s2", 0.0)):
        columns |= {f"val/{branch}/miou": curve - less, f"val/{branch}/oa": curve + 0.2}
        columns |= {f"val/{branch}/iou/{name}": curve - less for name in ("water", "trees", "built_area")}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def invent_patches(run, *, locations=("00001", "00002"), labels=0, side=16):
    """The pixels of a last picture; `labels` is the class that all pixels carry."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (len(locations), side, side, 3)).astype(np.uint8)
    classes = np.full((len(locations), side, side), labels, np.uint8)
    columns = [Column("Sentinel-2", "image", image), Column("noisy label", "classes", classes)]
    columns += [Column("prediction s2", "classes", classes + 1), Column("weight s2", "weight", classes)]
    (run / "panels").mkdir()
    write_patches(run / "panels", Patches(2, list(locations), columns))


def invent_sweep(folder, props=(0.3, 0.5, 0.7), fusions=("mid", "late"), seeds=(1, 2), epochs=3, patches=True):
    """A balanced grid in which a higher share is better and mid beats late."""
    rng = np.random.default_rng(0)
    for prop, fusion, seed in product(props, fusions, seeds):
        top = 0.3 + prop / 4 + 0.05 * (fusion == "mid") + 0.01 * seed
        curve = top * (1 - np.exp(-4 * np.arange(1, epochs + 1) / epochs)) + rng.normal(0, 0.004, epochs)
        name = f"fusion={fusion},seed={seed},selection.prop={prop}"
        run = invent_run(folder / name, config(prop, fusion, seed), curve=curve)
        if patches:
            invent_patches(run)
    return folder
