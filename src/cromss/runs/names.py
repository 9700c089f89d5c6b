"""Names of the files in the folder of a run and of a sweep, and a check that none of them is a symbolic link."""

from __future__ import annotations

from pathlib import Path

from cromss.io.own_files import LinkError

CHECKPOINTS = "checkpoints"
LAST = "last.ckpt"
"""The checkpoint from which the run resumes."""

BEST = "best.ckpt"
"""The checkpoint of the best epoch so far."""

CONFIG = "config.yaml"
"""The resolved config."""

DECISION = ".decision"
"""The decision of the first process of a job for all: whether they begin, or who has the folder."""

HYDRA = ".hydra"
"""The config as Hydra composed it."""

LOCK = ".lock"
"""Lock file of the job that writes the folder, with the name of that job."""

METRICS = "metrics.csv"
"""One row per epoch."""

PANELS = "panels"
"""Pictures of a few patches during the training."""

PATCHES = "patches.npz"
"""The pixels of the last picture."""

PREDICTIONS = "predictions"
RECORD = "run.json"
"""The record of the run: its state and its score."""

RESULTS = "results.json"
"""The results of a test."""

SUBMITTED = "submitted.json"
"""The job that a launcher handed the run to."""

SEARCHING = ".searching"
"""Lock file in the folder of a search."""

SUBMITTING = ".submitting"
"""Lock file in the folder of a sweep, held while its runs are submitted."""

SUMMARY = "summary.json"
"""The summary of a finished training."""

SWEEP = "sweep.json"
"""The list of runs, in the folder of a sweep."""

SWEEP_CONFIG = "multirun.yaml"
"""The config as Hydra composed it, in the folder of a sweep."""

WANDB_ID = "wandb-id.txt"
"""The id of the run on W&B."""


def check_no_links(folder: Path) -> None:
    """Checks all files and folders of fixed names that a program writes in the folder of a run or sweep.

    The folder itself may be a link, as may what W&B keeps below a folder of its own.

    Args:
        folder: A folder, which need not exist.

    Raises:
        LinkError: A file or folder in it is a symbolic link.
        OSError: It cannot be read.
    """
    for level in (folder, *(folder / name for name in (CHECKPOINTS, HYDRA, PANELS, PREDICTIONS))):
        if not level.is_dir():
            continue
        for entry in sorted(level.iterdir()):
            if entry.is_symlink():
                raise LinkError(entry)
