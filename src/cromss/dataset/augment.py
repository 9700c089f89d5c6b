"""One geometry for all arrays of a sample: images, labels, truth and prior are transformed together.

The random numbers are drawn on the host, from a seed per sample: a sample looks the same in any batch,
and no value is read from the device. Crop and flip copy pixels; only the samples that rotate are interpolated.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cromss.types import IGNORE_INDEX

HALVINGS = 32
"""Encoders halve the size up to five times: image sides that are multiples of this suit all of them."""

FLIPS = ((-1,), (-2,), (-2, -1))
"""Left-right, upside down, both: as tensor dimensions."""


class View(NamedTuple):
    """Geometry of one sample: crop first, then flip, then rotate.

    Attributes:
        top: First row of the crop.
        left: First column of the crop.
        flip: Dimensions to reverse, one of `FLIPS` or ``()``.
        angle: Degrees counter-clockwise around the centre of the crop.
    """

    top: int
    left: int
    flip: tuple[int, ...] = ()
    angle: float = 0.0


class Mover(ABC):
    """Moves the parts of one batch, all by the same geometry."""

    @abstractmethod
    def move(self, x: Tensor, mode: str) -> Tensor:
        """``(B, K, H, W)`` -> ``(B, K, h, w)`` of the same dtype; `mode` as of `torch.nn.functional.grid_sample`."""

    def pixels(self, x: Tensor) -> Tensor:
        """Moves ``(B, K, H, W)``; rotated values are interpolated.

        Rotated integers are rounded to the nearest, and a rotated distribution still sums to one.
        """
        return self.move(x, "bilinear")

    def classes(self, labels: Tensor) -> Tensor:
        """Moves labels ``(B, H, W)``: taken from the nearest pixel, never mixed; 255 in padding."""
        return self.move(labels[:, None], "nearest")[:, 0]


Geometry = Callable[[int, int, Sequence[int], torch.device], Mover]
"""Height and width of the patches of a batch, a seed in [0, 2^32) per sample, and its device -> how it is moved."""


class RandomGeometry:
    """The training view: a random crop, then by chance a flip and a rotation.

    The numbers drawn per sample are the same whatever the probabilities, so switching one transform off does not
    change the others.

    Args:
        crop: Side of the square view in pixels, at most that of the patches.
        flip: Probability of a flip; then left-right, upside down and both are equally likely.
        rotate: Probability of a rotation.
        degrees: Rotations are uniform in ``[-degrees, degrees]``; pixels from outside are reflected.

    Raises:
        ValueError: A probability outside [0, 1] or an angle outside [0, 180].
    """

    def __init__(self, crop: int, flip: float, rotate: float, degrees: float) -> None:
        for name, value, limit in (("flip", flip, 1), ("rotate", rotate, 1), ("degrees", degrees, 180)):
            if not 0 <= value <= limit:
                raise ValueError(f"{name}={value} is not in [0, {limit}]")
        self.crop, self.flip, self.rotate, self.degrees = crop, flip, rotate, degrees

    def __call__(self, height: int, width: int, seeds: Sequence[int], device: torch.device) -> Mover:
        """See `Geometry`."""
        views = self.views(height, width, seeds)
        return _OneByOne(views, self.crop) if device.type == "cpu" else _AtOnce(views, self.crop, device)

    def views(self, height: int, width: int, seeds: Sequence[int]) -> list[View]:
        """One random view per seed, made of the first six random numbers of that seed."""
        generator = torch.Generator()
        drawn = (torch.rand(6, generator=generator.manual_seed(seed)).tolist() for seed in seeds)
        return [
            View(
                top=int(top * (height - self.crop + 1)),
                left=int(left * (width - self.crop + 1)),
                flip=FLIPS[int(which * len(FLIPS))] if flipped < self.flip else (),
                angle=(2 * angle - 1) * self.degrees if turned < self.rotate else 0.0,
            )
            for top, left, flipped, which, turned, angle in drawn
        ]


class CentreView:
    """An evaluation view, the same of every patch: its centre, or all of it.

    Args:
        crop: Side of the view in pixels. None shows the whole patch, padded on all sides to multiples of `HALVINGS`:
            the padding repeats the border and has no label, so it counts nowhere.
    """

    def __init__(self, crop: int | None) -> None:
        self.crop = crop

    def __call__(self, height: int, width: int, seeds: Sequence[int], device: torch.device) -> Mover:
        """See `Geometry`; nothing is drawn."""
        return _Window(self._shown(height), self._shown(width), height, width, device)

    def inner(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the view that show the patch and no padding."""
        shown = ((self._shown(size), size) for size in (height, width))
        rows, columns = (slice(max(0, -side.start), min(len(side), size - side.start)) for side, size in shown)
        return rows, columns

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Row and column, in the patch, of the first pixel that `inner` shows."""
        return max(0, self._shown(height).start), max(0, self._shown(width).start)

    def pixels(self, height: int, width: int) -> int:
        """Number of pixels of the view of a patch of ``height x width``."""
        return len(self._shown(height)) * len(self._shown(width))

    def _shown(self, size: int) -> range:
        """Rows or columns of a patch of `size` that the view shows; those outside of it are padding."""
        side = -(-size // HALVINGS) * HALVINGS if self.crop is None else self.crop
        first = int((size - side) / 2)
        return range(first, first + side)


class _Window(Mover):
    """Rows and columns of a patch; those outside of it are padding."""

    def __init__(self, rows: range, columns: range, height: int, width: int, device: torch.device) -> None:
        row, column = (torch.arange(side.start, side.stop, device=device) for side in (rows, columns))
        self.rows, self.columns = row.clamp(0, height - 1), column.clamp(0, width - 1)
        self.outside = (row != self.rows)[:, None] | (column != self.columns)

    def move(self, x: Tensor, mode: str) -> Tensor:
        return x.index_select(-2, self.rows).index_select(-1, self.columns)

    def classes(self, labels: Tensor) -> Tensor:
        return super().classes(labels).masked_fill_(self.outside, IGNORE_INDEX)


class _OneByOne(Mover):
    """Moves sample by sample, a few planes at a time: on a CPU that is fastest, as the data stay in its cache."""

    planes_at_once = 4

    def __init__(self, views: Sequence[View], crop: int) -> None:
        self.views = views
        self.crop = crop
        self.turned, self.grids = _rotations(views, crop, torch.device("cpu"))

    def move(self, x: Tensor, mode: str) -> Tensor:
        moved = x.new_empty(*x.shape[:2], self.crop, self.crop)
        for out, sample, view in zip(moved, x, self.views, strict=True):
            part = sample[:, view.top : view.top + self.crop, view.left : view.left + self.crop]
            out.copy_(part.flip(view.flip) if view.flip else part)
        for i, grid in zip(self.turned, self.grids, strict=True):
            planes = _varied(moved[i])
            for group in (planes[k : k + self.planes_at_once] for k in range(0, len(planes), self.planes_at_once)):
                turned = _sample(torch.stack(group)[None], grid[None], mode)[0]
                for plane, pixels in zip(group, turned, strict=True):
                    plane.copy_(pixels)
        return moved


class _AtOnce(Mover):
    """Moves a whole batch by few operations: on an accelerator starting one costs more than the pixels of a sample."""

    def __init__(self, views: Sequence[View], crop: int, device: torch.device) -> None:
        last = crop - 1
        # First row and column of each sample, then the steps from one to the next.
        lines = [
            [(v.top + last * (-2 in v.flip), v.left + last * (-1 in v.flip)) for v in views],
            [(-1 if -2 in v.flip else 1, -1 if -1 in v.flip else 1) for v in views],
        ]
        first, step = torch.tensor(lines).to(device, non_blocking=True)[..., None]
        self.rows, self.columns = (first + step * torch.arange(crop, device=device)).unbind(1)
        turned, self.grids = _rotations(views, crop, device)
        self.turned = torch.tensor(turned, dtype=torch.long).to(device, non_blocking=True)

    def move(self, x: Tensor, mode: str) -> Tensor:
        samples, planes = (torch.arange(size, device=x.device) for size in x.shape[:2])
        rows, columns = self.rows[:, None, :, None], self.columns[:, None, None, :]
        moved = x[samples[:, None, None, None], planes[:, None, None], rows, columns]
        if len(self.turned):
            moved[self.turned] = _sample(moved[self.turned], self.grids, mode)
        return moved


def _rotations(views: Sequence[View], crop: int, device: torch.device) -> tuple[list[int], Tensor]:
    """Which samples rotate, and the points ``(n, crop, crop, 2)`` at which they are read, in [-1, 1]: column, row."""
    turned = [i for i, view in enumerate(views) if view.angle]
    angles = torch.tensor([math.radians(views[i].angle) for i in turned]).to(device, non_blocking=True)
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    x = torch.linspace(-1, 1, crop, device=device)
    y = x[:, None]
    return turned, torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def _varied(sample: Tensor) -> list[Tensor]:
    """The planes that a rotation changes: not the prior of an absent class, which is 0 everywhere."""
    if not sample.is_floating_point():
        return list(sample)
    varied = sample.amax((-2, -1)) != sample.amin((-2, -1))
    return [plane for plane, varies in zip(sample, varied.tolist(), strict=True) if varies]


def _sample(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Reads ``(n, K, crop, crop)`` at the points of a grid; integers are rounded."""
    turned = F.grid_sample(x.float(), grid, mode, padding_mode="reflection", align_corners=True)
    if x.is_floating_point():
        return turned.to(x.dtype)
    return turned.round_().to(torch.int32).to(x.dtype)  # from float to uint8 directly takes three times as long
