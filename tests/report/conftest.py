import json
import os

import pytest

from cromss.runs.results import FORMAT

RUN = {
    "format": FORMAT,
    "row": {"table": "dfc2020", "input": "s2", "weights": "moco-13b"},
    "dataset": "dfc2020",
    "input": "s2",
    "bands": 13,
    "fusion": "single",
    "backbone": "resnet50",
    "decoder": "pspnet",
    "freeze": "reference",
    "freeze_epochs": None,
    "train_samples": None,
    "seed": 1,
    "epochs": 50,
    "weights": [{"origin": "moco", "path": "weights/moco-13b.pth", "sha256": "ab" * 32, "modality": "s2"}],
    "tested": {"checkpoint": "last.ckpt", "locations": 5128},
    "config_hash": "0123456789abcdef",
    "git_commit": None,
}


@pytest.fixture
def invent(tmp_path):
    """Writes the results of an invented run; `miou` in percent, the other scores lie 10 apart around it."""

    def write(name, miou=40.0, branches=("s2",), modified=None, **changes):
        scores = {
            branch: {"oa": (miou + 20) / 100, "aa": (miou + 10) / 100, "miou": miou / 100, "mf1": (miou + 5) / 100}
            for branch in branches
        }
        path = tmp_path / "outputs" / name / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**RUN, "scores": scores, **changes}))
        if modified is not None:
            os.utime(path, (modified, modified))
        return path

    (tmp_path / "outputs").mkdir()
    return write
