"""Overlapping windows over a scene, and how much each counts at every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of a scene.

    Attributes:
        size: Pixels of the scene.
        window: Pixels of a window; where the scene is smaller, the one window reaches beyond it.
        starts: First pixel of each window, rising; the last window ends with the scene.
        weights: Share of each window in the pixels that it covers, float32 ``(windows, window)``: those of all
            windows add up to 1 at every pixel of the scene.
    """

    size: int
    window: int
    starts: tuple[int, ...]
    weights: np.ndarray

    def settled(self, number: int) -> tuple[int, int]:
        """The pixels that no window after this one covers, and that were not settled before: first, and one past."""
        is_last = number + 1 == len(self.starts)
        return self.starts[number], self.size if is_last else self.starts[number + 1]


def lay_windows(size: int, window: int, overlap: int) -> Axis:
    """Spreads windows evenly over an axis.

    Args:
        size: Pixels of the scene, at least 1.
        window: Pixels of a window.
        overlap: Pixels that neighbours share at least, below `window`.

    Returns:
        The fewest windows that do, at even distances. Towards its ends a window counts less, along a raised cosine
        that never reaches 0, but for where no other window is.
    """
    count = 1 + max(0, math.ceil((size - window) / (window - overlap)))
    starts = [round(number * (size - window) / max(1, count - 1)) for number in range(count)] if count > 1 else [0]
    ramp = np.sin((np.arange(window) + 0.5) / window * np.pi) ** 2
    total = np.zeros(max(size, window))
    for start in starts:
        total[start : start + window] += ramp
    weights = np.stack([ramp / total[start : start + window] for start in starts])
    return Axis(size, window, tuple(starts), weights.astype(np.float32))
