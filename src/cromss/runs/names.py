"""What the files in the folder of a run, and of a sweep, are called; and that none of them is a link to elsewhere."""

from __future__ import annotations

from pathlib import Path

from cromss.io.own_files import LinkError

CHECKPOINTS = "checkpoints"
LAST = "last.ckpt"
"""Among the checkpoints, the one from which the run resumes."""

BEST = "best.ckpt"
"""Among the checkpoints, that of the best epoch so far."""

CONFIG = "config.yaml"
"""The resolved config."""

DECISION = ".decision"
"""What the first process of a job decided for all: whether they begin, or who has the folder."""

HYDRA = ".hydra"
"""The config as Hydra composed it."""

LOCK = ".lock"
"""Held and named by the job that writes the folder."""

METRICS = "metrics.csv"
"""One row per epoch."""

PANELS = "panels"
"""Pictures of a few patches during the training."""

PATCHES = "patches.npz"
"""Among the pictures, the pixels of the last one."""

PREDICTIONS = "predictions"
RECORD = "run.json"
"""What became of the run."""

RESULTS = "results.json"
"""What a test found."""

SUBMITTED = "submitted.json"
"""The job that a launcher handed the run to."""

SEARCHING = ".searching"
"""In the folder of a search, held by the process that is at work on it."""

SUBMITTING = ".submitting"
"""In the folder of a sweep, held by the launcher that hands over its runs."""

SUMMARY = "summary.json"
"""What a training reached, written when it is done."""

SWEEP = "sweep.json"
"""In the folder of a sweep, the runs that it consists of."""

SWEEP_CONFIG = "multirun.yaml"
"""In the folder of a sweep, its config as Hydra composed it."""

WANDB_ID = "wandb-id.txt"
"""The id of the run on W&B."""


def check_no_links(folder: Path) -> None:
    """Looks at everything in the folder of a run or sweep that a program writes by a name that is known before.

    The folder itself may be a link, as may what W&B keeps below a folder of its own.

    Args:
        folder: It need not exist.

    Raises:
        LinkError: A file or folder in it is a link.
        OSError: It cannot be read.
    """
    for level in (folder, *(folder / name for name in (CHECKPOINTS, HYDRA, PANELS, PREDICTIONS))):
        if not level.is_dir():
            continue
        for entry in sorted(level.iterdir()):
            if entry.is_symlink():
                raise LinkError(entry)
