"""One geometry for everything that lies on the same ground: images, labels, truth and prior move together.

The random numbers are drawn on the host from an explicit generator, so a batch can be repeated from a seed and the
device is never asked for a value. A crop is a slice and a flip a copy; only the samples that turn are interpolated.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from kornia.geometry.transform import remap
from torch import Tensor

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


class Geometry(ABC):
    """Cuts views of `crop` pixels out of a batch.

    Args:
        crop: Side of the square view in pixels.
    """

    def __init__(self, crop: int) -> None:
        if crop < 1:
            raise ValueError(f"crop={crop} must be at least 1 pixel")
        self.crop = crop

    @abstractmethod
    def views(self, batch: int, height: int, width: int, generator: torch.Generator) -> list[View]:
        """One view a sample of a batch of ``height x width`` patches."""

    @torch.no_grad()
    def __call__(
        self,
        images: Mapping[str, Tensor],
        labels: Tensor,
        generator: torch.Generator,
        truth: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> Moved:
        """Moves a batch.

        Args:
            images: Modality -> ``(B, K, H, W)``, any dtype. Turned integers are rounded to the nearest.
            labels: ``(B, H, W)`` classes and 255 for ignored; taken from the nearest pixel, never mixed.
            generator: A host (CPU) generator, for a geometry that draws.
            truth: Exact labels ``(B, H, W)``, or None.
            prior: Class distribution ``(B, C, H, W)``; a turned distribution still sums to one. Or None.

        Raises:
            ValueError: The patch is smaller than the crop, or the parts disagree in size.
        """
        batch, height, width = labels.shape
        parts = {**images, "truth": truth, "prior": prior}
        for name, part in parts.items():
            if part is not None and (len(part), *part.shape[-2:]) != (batch, height, width):
                raise ValueError(
                    f"labels are {batch} x {height} x {width}, but {name} is {tuple(part.shape)}: all parts of a "
                    "batch must cover the same pixels"
                )
        if self.crop > min(height, width):
            raise ValueError(f"crop={self.crop} is larger than the patch of {height} x {width}: lower the crop")
        views = self.views(batch, height, width, generator)
        grids = _rotation_grids(views, self.crop, labels.device)
        return Moved(
            {modality: self._move(image, views, grids, "bilinear") for modality, image in images.items()},
            self._move(labels[:, None], views, grids, "nearest")[:, 0],
            None if truth is None else self._move(truth[:, None], views, grids, "nearest")[:, 0],
            None if prior is None else self._move(prior, views, grids, "bilinear"),
        )

    def _move(self, x: Tensor, views: Sequence[View], grids: Mapping[int, Tensor], mode: str) -> Tensor:
        parts = []
        for i, view in enumerate(views):
            part = x[i, :, view.top : view.top + self.crop, view.left : view.left + self.crop]
            if view.flip:
                part = part.flip(view.flip)
            if i in grids:
                part = _sample(part, grids[i], mode)
            parts.append(part)
        return torch.stack(parts)


class RandomGeometry(Geometry):
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

    def views(self, batch: int, height: int, width: int, generator: torch.Generator) -> list[View]:
        """One random view a sample; six numbers a sample are drawn from the generator."""
        return [
            View(
                top=int(top * (height - self.crop + 1)),
                left=int(left * (width - self.crop + 1)),
                flip=FLIPS[int(which * len(FLIPS))] if flipped < self.flip else (),
                angle=(2 * angle - 1) * self.degrees if turned < self.rotate else 0.0,
            )
            for top, left, flipped, which, turned, angle in torch.rand(batch, 6, generator=generator).tolist()
        ]


class CentreCrop(Geometry):
    """The evaluation view: the same middle of every patch, nothing drawn."""

    def views(self, batch: int, height: int, width: int, generator: torch.Generator) -> list[View]:
        """The centre of the patch, `batch` times; the generator is left alone."""
        return [View((height - self.crop) // 2, (width - self.crop) // 2)] * batch


def _rotation_grids(views: Sequence[View], crop: int, device: torch.device) -> dict[int, Tensor]:
    """Sampling grids ``(1, crop, crop, 2)`` of the samples that turn, by their position in the batch.

    The same points as ``kornia.geometry.transform.rotate``, which would build them anew for each part of a sample:
    that takes half as long again.
    """
    turned = [i for i, view in enumerate(views) if view.angle]
    if not turned:
        return {}
    angles = torch.tensor([math.radians(views[i].angle) for i in turned]).to(device, non_blocking=True)
    cos, sin = angles.cos()[:, None, None], angles.sin()[:, None, None]
    x = torch.linspace(-1, 1, crop, device=device)
    y = x[:, None]
    grids = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)
    return dict(zip(turned, grids.split(1), strict=True))


def _sample(part: Tensor, grid: Tensor, mode: str) -> Tensor:
    """Reads ``(K, crop, crop)`` at the points of a grid; one sample at a time, its planes stay in the cache."""
    pixels = part[None].float().contiguous()  # a slice of a larger array is read half as fast
    x, y = grid.unbind(-1)
    turned = remap(pixels, x, y, mode, "reflection", align_corners=True, normalized_coordinates=True)[0]
    return turned.to(part.dtype) if part.is_floating_point() else turned.round_().to(part.dtype)
