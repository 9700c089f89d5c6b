"""What the files in the folder of a run, and of a sweep, are called."""

from __future__ import annotations

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
