"""Arrays that the published program computes for given inputs: `tests/golden`, or the folder that CROMSS_GOLDEN names.

The files here are those of the reference, cut so that none exceeds 1 MB: every case is there, and gradients are kept at
every third pixel of a row and a column. A test passes with the whole arrays as well.
"""

import os
from pathlib import Path

import numpy as np
import torch

GOLDEN = Path(os.environ.get("CROMSS_GOLDEN") or Path(__file__).resolve().parents[1] / "golden")


def golden_arrays(name):
    """Name -> array of ``<name>.npz`` and of the files ``<name>_*.npz`` that were split off it."""
    files = [GOLDEN / f"{name}.npz", *sorted(GOLDEN.glob(f"{name}_*.npz"))]
    arrays = {}
    for file in files:
        with np.load(file) as content:
            arrays.update(content)
    return arrays


def at_kept_pixels(actual, expected):
    """A tensor ``(..., H, W)`` at the pixels of which the golden array has kept the values."""
    if actual.shape == expected.shape:
        return actual
    kept = actual[..., ::3, ::3]
    assert kept.shape == expected.shape
    return kept


def golden_tensors(name):
    """`golden_arrays` as tensors."""
    return {key: torch.from_numpy(value) for key, value in golden_arrays(name).items()}
