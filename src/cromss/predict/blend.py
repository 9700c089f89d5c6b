"""Overlapping windows over a scene, and their logits blended, in memory that does not grow with the scene."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

Emit = Callable[[int, int, np.ndarray], None]
"""Takes the first row and column of a finished block, and its blended logits ``(K, h, w)``."""


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
        """The pixels that this window covers as the last one: first, and one past."""
        is_last = number + 1 == len(self.starts)
        return self.starts[number], self.size if is_last else self.starts[number + 1]


def lay_windows(size: int, window: int, overlap: int) -> Axis:
    """Spreads windows evenly over an axis.

    Args:
        size: Pixels of the scene, at least 1.
        window: Pixels of a window.
        overlap: Pixels that neighbours share at least, below `window`.

    Returns:
        The fewest such windows, at even distances. Towards its ends a window counts less, along a raised cosine
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


class Blender:
    """Adds up weighted windows, row by row and from left to right, and passes each block on when it is complete.

    Only the part that the current window may still change is in memory. The part that overlaps the next row of windows
    is stored in a file, with one piece per window of the row.

    Args:
        rows: Windows along the height of the scene.
        columns: Windows along its width.
        layers: Values per pixel K, classes times branches.
        carry: The file for these pieces; it is created.
        emit: Takes finished blocks; together they cover the scene once.
    """

    def __init__(self, rows: Axis, columns: Axis, layers: int, carry: Path, emit: Emit) -> None:
        self.rows, self.columns, self.layers, self.emit = rows, columns, layers, emit
        window = rows.window
        self._strip = np.zeros((layers, window, 0), np.float32)
        # A piece is at most a window wide and high, whatever the scene.
        self._piece = layers * window * window * np.dtype(np.float32).itemsize
        self._heights = [0] * len(columns.starts)
        self._file = io.FileIO(carry, "w+")

    def __enter__(self) -> Blender:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def add(self, row: int, column: int, logits: np.ndarray) -> None:
        """Adds the window at `row` and `column`; all before it, in reading order, were added.

        Args:
            row: Number of the window down the scene.
            column: Number of the window across.
            logits: Of the window, float32 ``(K, window, window)``, already weighted by both axes.
        """
        window = self.rows.window
        if column == 0:
            self._strip = np.zeros((self.layers, window, 0), np.float32)
        missing = window - self._strip.shape[2]
        self._strip = np.pad(self._strip, ((0, 0), (0, 0), (0, missing)))
        self._strip += logits
        left, right = self.columns.settled(column)
        done = self._strip[:, :, : right - left]
        self._strip = self._strip[:, :, right - left :]
        self._finish_rows(row, column, left, done)

    def _finish_rows(self, row: int, column: int, left: int, strip: np.ndarray) -> None:
        """Adds the stored part of earlier rows of windows, and emits the complete rows."""
        if self._heights[column]:
            shape = (self.layers, self._heights[column], strip.shape[2])
            waiting = np.empty(shape, np.float32)
            self._file.seek(column * self._piece)
            _read_into(self._file, waiting)
            strip[:, : shape[1]] += waiting
        top, bottom = self.rows.settled(row)
        self.emit(top, left, strip[:, : bottom - top])
        rest = strip[:, bottom - top :] if row + 1 < len(self.rows.starts) else strip[:, :0]
        self._heights[column] = rest.shape[1]
        if rest.size:
            self._file.seek(column * self._piece)
            write_all(self._file, np.ascontiguousarray(rest))


def write_all(file: io.RawIOBase, array: np.ndarray) -> None:
    """Writes all bytes of an array to an unbuffered file, which may take them in parts."""
    view = array.reshape(-1).view(np.uint8).data
    while view:
        view = view[file.write(view) or 0 :]


def _read_into(file: io.RawIOBase, array: np.ndarray) -> None:
    view = array.reshape(-1).view(np.uint8).data
    while view:
        view = view[file.readinto(view) or 0 :]
