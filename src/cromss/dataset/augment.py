"""One geometry for everything that lies on the same ground: images, labels, truth and prior move together.

The random numbers are drawn on the host, from a seed a sample: a sample looks the same in whatever batch it comes, and
the device is never asked for a value. Crop and flip copy pixels; only the samples that turn are interpolated.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from kornia.geometry.transform import remap
from torch import Tensor

from cromss.types import IGNORE_INDEX

HALVINGS = 32
"""Encoders halve the size up to five times: sides that are multiples of this suit all of them."""

FLIPS = ((-1,), (-2,), (-2, -1))
"""Left-right, upside down, both: as tensor dimensions."""


class View(NamedTuple):
    """How one sample is looked at: crop first, then flip, then turn.

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


class Moved(NamedTuple):
    """What a geometry returns: its input, every part cut to ``(..., crop, crop)`` with its dtype kept."""

    images: dict[str, Tensor]
    labels: Tensor
    truth: Tensor | None
    prior: Tensor | None


class Geometry(Protocol):
    """Moves all parts of a batch together."""

    def __call__(
        self,
        images: Mapping[str, Tensor],
        labels: Tensor,
        seeds: Sequence[int],
        truth: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> Moved:
        """See `CropGeometry`."""
        ...


class CropGeometry(ABC):
    """Cuts views of `crop` pixels out of a batch.

    Args:
        crop: Side of the square view in pixels.
    """

    def __init__(self, crop: int) -> None:
        if crop < 1:
            raise ValueError(f"crop={crop} must be at least 1 pixel")
        self.crop = crop

    @abstractmethod
    def views(self, height: int, width: int, seeds: Sequence[int]) -> list[View]:
        """One view a seed, each of a patch of ``height x width``."""

    @torch.no_grad()
    def __call__(
        self,
        images: Mapping[str, Tensor],
        labels: Tensor,
        seeds: Sequence[int],
        truth: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> Moved:
        """Moves a batch.

        Args:
            images: Modality -> ``(B, K, H, W)``, any dtype. Turned integers are rounded to the nearest.
            labels: ``(B, H, W)`` classes and 255 for ignored; taken from the nearest pixel, never mixed.
            seeds: Of each sample, in [0, 2^32), for a geometry that draws.
            truth: Exact labels ``(B, H, W)``, or None.
            prior: Class distribution ``(B, C, H, W)``; a turned distribution still sums to one. Or None.

        Raises:
            ValueError: The patch is smaller than the crop, or the parts disagree in size.
        """
        height, width = _common_size(labels, {**images, "truth": truth, "prior": prior})
        if self.crop > min(height, width):
            raise ValueError(f"crop={self.crop} is larger than the patch of {height} x {width}: lower the crop")
        views = self.views(height, width, seeds)
        device = labels.device
        move = _OneByOne(views, self.crop) if device.type == "cpu" else _AtOnce(views, self.crop, device)
        return Moved(
            {modality: move(image, "bilinear") for modality, image in images.items()},
            move(labels[:, None], "nearest")[:, 0],
            None if truth is None else move(truth[:, None], "nearest")[:, 0],
            None if prior is None else move(prior, "bilinear"),
        )


class RandomGeometry(CropGeometry):
    """The training view: random crop, then now and then a flip and a rotation.

    The numbers drawn a sample are the same whatever the probabilities, so switching one transform off leaves the
    others as they were.

    Args:
        crop: Side of the square view in pixels.
        flip: Probability of a flip; then left-right, upside down and both are equally likely.
        rotate: Probability of a rotation.
        degrees: Rotations are uniform in ``[-degrees, degrees]``; what comes in from outside is reflected.

    Raises:
        ValueError: A probability outside [0, 1] or an angle outside [0, 180].
    """

    def __init__(self, crop: int, flip: float, rotate: float, degrees: float) -> None:
        super().__init__(crop)
        for name, value, limit in (("flip", flip, 1), ("rotate", rotate, 1), ("degrees", degrees, 180)):
            if not 0 <= value <= limit:
                raise ValueError(f"{name}={value} is not in [0, {limit}]")
        self.flip = flip
        self.rotate = rotate
        self.degrees = degrees

    def views(self, height: int, width: int, seeds: Sequence[int]) -> list[View]:
        """One random view a seed, made of the first six numbers that it gives."""
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


class CentreCrop(CropGeometry):
    """An evaluation view: the same middle of every patch, nothing drawn."""

    def views(self, height: int, width: int, seeds: Sequence[int]) -> list[View]:
        """The centre of the patch, whatever the seed."""
        return [View(*self.corner(height, width))] * len(seeds)

    def corner(self, height: int, width: int) -> tuple[int, int]:
        """Row and column of the first pixel of the view in a patch of ``height x width``."""
        return (height - self.crop) // 2, (width - self.crop) // 2

    def inner(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of the view that show the patch: all of them."""
        return slice(0, self.crop), slice(0, self.crop)

    def pixels(self, height: int, width: int) -> int:
        """Number of pixels of the view."""
        return self.crop**2


class WholePatch:
    """An evaluation view: all of a patch, padded on all sides to multiples that every encoder can halve.

    What is padded repeats the border and has no label, so it counts nowhere.
    """

    @torch.no_grad()
    def __call__(
        self,
        images: Mapping[str, Tensor],
        labels: Tensor,
        seeds: Sequence[int],
        truth: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> Moved:
        """Pads a batch; arguments and errors as of `CropGeometry`, whatever the seeds."""
        height, width = _common_size(labels, {**images, "truth": truth, "prior": prior})
        rows, columns = (_padded(size, labels.device) for size in (height, width))
        outside = _outside(rows, height)[:, None] | _outside(columns, width)

        def pad(x: Tensor) -> Tensor:
            return x[..., rows.clamp(0, height - 1)[:, None], columns.clamp(0, width - 1)]

        return Moved(
            {modality: pad(image) for modality, image in images.items()},
            pad(labels).masked_fill(outside, IGNORE_INDEX),
            None if truth is None else pad(truth).masked_fill(outside, IGNORE_INDEX),
            None if prior is None else pad(prior),
        )

    @staticmethod
    def inner(height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns at which a patch of ``height x width`` lies in its padded view."""
        margins = (_margin(size) for size in (height, width))
        top, left = (before for before, _ in margins)
        return slice(top, top + height), slice(left, left + width)

    @staticmethod
    def corner(height: int, width: int) -> tuple[int, int]:
        """Row and column of the first pixel that `inner` shows, in the patch."""
        return 0, 0

    @staticmethod
    def pixels(height: int, width: int) -> int:
        """Number of pixels of the padded view."""
        return math.prod(size + sum(_margin(size)) for size in (height, width))


def _margin(size: int) -> tuple[int, int]:
    """Pixels to pad before and after `size` pixels."""
    missing = -size % HALVINGS
    return missing // 2, missing - missing // 2


def _padded(size: int, device: torch.device) -> Tensor:
    """Where each row of the padded view lies in the patch; negative or beyond it in the margins."""
    before, after = _margin(size)
    return torch.arange(-before, size + after, device=device)


def _outside(positions: Tensor, size: int) -> Tensor:
    return (positions < 0) | (positions >= size)


def _common_size(labels: Tensor, parts: Mapping[str, Tensor | None]) -> tuple[int, int]:
    """Height and width; ValueError where the parts of a batch disagree."""
    batch, height, width = labels.shape
    for name, part in parts.items():
        if part is not None and (len(part), *part.shape[-2:]) != (batch, height, width):
            raise ValueError(
                f"labels are {batch} x {height} x {width}, but {name} is {tuple(part.shape)}: all parts of a "
                "batch must cover the same pixels"
            )
    return height, width


class _OneByOne:
    """Moves sample by sample, a few planes at a time: on a CPU what stays in the cache moves fastest."""

    planes_at_once = 4

    def __init__(self, views: Sequence[View], crop: int) -> None:
        self.views = views
        self.crop = crop
        self.turned, self.grids = _rotations(views, crop, torch.device("cpu"))

    def __call__(self, x: Tensor, mode: str) -> Tensor:
        """``(B, K, H, W)`` -> ``(B, K, crop, crop)``; `mode` says how turned pixels are read."""
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


class _AtOnce:
    """Moves a whole batch by a few operations: on an accelerator an operation costs more than a sample's pixels."""

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

    def __call__(self, x: Tensor, mode: str) -> Tensor:
        """As `_OneByOne`."""
        samples, planes = (torch.arange(size, device=x.device) for size in x.shape[:2])
        rows, columns = self.rows[:, None, :, None], self.columns[:, None, None, :]
        moved = x[samples[:, None, None, None], planes[:, None, None], rows, columns]
        if len(self.turned):
            moved[self.turned] = _sample(moved[self.turned], self.grids, mode)
        return moved


def _rotations(views: Sequence[View], crop: int, device: torch.device) -> tuple[list[int], Tensor]:
    """Which samples turn, and the points ``(n, crop, crop, 2)`` at which they are read.

    The same points as in ``kornia.geometry.transform.rotate``, built once for all parts of a sample.
    """
    turned = [i for i, view in enumerate(views) if view.angle]
    angles = torch.tensor([math.radians(views[i].angle) for i in turned]).to(device, non_blocking=True)
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    x = torch.linspace(-1, 1, crop, device=device)
    y = x[:, None]
    return turned, torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)


def _varied(sample: Tensor) -> list[Tensor]:
    """The planes that a turn changes: not the prior of an absent class, 0 everywhere."""
    if not sample.is_floating_point():
        return list(sample)
    varied = sample.amax((-2, -1)) != sample.amin((-2, -1))
    return [plane for plane, varies in zip(sample, varied.tolist(), strict=True) if varies]


def _sample(x: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Reads ``(n, K, crop, crop)`` at the points of a grid; integers are rounded."""
    columns, rows = grid.unbind(-1)
    turned = remap(x.float(), columns, rows, mode, "reflection", align_corners=True, normalized_coordinates=True)
    if x.is_floating_point():
        return turned.to(x.dtype)
    return turned.round_().to(torch.int32).to(x.dtype)  # from float to uint8 directly takes three times as long
