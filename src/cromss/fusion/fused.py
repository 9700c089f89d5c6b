"""One map of several branches."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from cromss.types import Prediction

FUSED = "fused"
"""Name of what all branches say together."""


def fused_probs(branches: Iterable[Prediction]) -> Tensor:
    """The mean of the branches' class probabilities, float32 ``(B, C, H, W)`` in [0, 1]."""
    return torch.stack([branch.probs for branch in branches]).mean(dim=0)
