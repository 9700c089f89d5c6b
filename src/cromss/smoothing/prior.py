"""The label prior: how often each class occurs around a pixel, in space and over the seasons (CromSS, III-B)."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cromss.types import IGNORE_INDEX, check_choice, labelled

KINDS = ("spatiotemporal", "spatial", "temporal")
"""Whose one-hot maps make up a prior, see `label_prior`."""

SIGMA = 3.0
"""Width of the Gaussian in pixels of 10 m."""

RADIUS = 12
"""Where the Gaussian is cut off, in pixels: four sigma."""

_BLOCK = 24  # pixels filtered by one matrix product: smaller means more calls, larger more products with zero


def label_prior(labels: Tensor, season: Tensor, kind: str, num_classes: int) -> Tensor:
    """Class distribution around every pixel, from the noisy labels themselves.

    One-hot maps are averaged over seasons (``temporal``), taken from the drawn season (``spatial``), or half of each
    (``spatiotemporal``), then filtered with a Gaussian (sigma 3, radius 12, borders mirrored with the edge pixel
    repeated) and renormalised over classes. The filter is linear, so ``spatiotemporal`` too needs a single pass.
    An unlabelled pixel adds nothing; its prior comes from its neighbours.

    Args:
        labels: ``(B, T, H, W)`` integers, classes from 0, 255 where there is no label. T, H and W may be 1.
        season: ``(B,)`` integers, the drawn season of each sample, ``0 <= season < T``; unused by ``temporal``.
        kind: ``"temporal"``, ``"spatial"`` or ``"spatiotemporal"``.
        num_classes: C.

    Returns:
        ``(B, C, H, W)`` float32, also under autocast; every pixel sums to 1 over classes. Where nothing is labelled
        within the filter's reach the prior is ``1 / C``. Label values are not checked here: readers of files do that.

    Raises:
        ValueError: Unknown kind, or labels that are not ``(B, T, H, W)``.
    """
    check_choice("smoothing.kind", kind, KINDS)
    if labels.ndim != 4:
        raise ValueError(
            f"labels have the shape {tuple(labels.shape)}; a prior needs (B, T, H, W): add the season axis"
        )
    labels, weights = _weigh_seasons(labels, season, kind)
    with torch.autocast(labels.device.type, enabled=False):
        # Which classes occur is known to the host at once on a CPU; an accelerator would have to be waited for.
        build = _prior_of_present if labels.device.type == "cpu" else _prior_of_all
        return build(labels, weights, num_classes)


def _weigh_seasons(labels: Tensor, season: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """The seasons that count, ``(B, T', H, W)``, and what each one's one-hot map counts, ``(B, T')`` with sum 1."""
    batch, seasons = labels.shape[:2]
    if kind == "spatial":
        return labels[torch.arange(batch, device=labels.device), season, None], labels.new_ones(batch, 1).float()
    average = torch.full((batch, seasons), 1 / seasons, device=labels.device)
    if kind == "temporal":
        return labels, average
    return labels, (average + F.one_hot(season, seasons)) / 2


def _prior_of_all(labels: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """Filters every class of every sample in one go."""
    batch, seasons, height, width = labels.shape
    maps = torch.zeros(batch, num_classes, height, width, device=labels.device)
    for t in range(seasons):
        mask = labelled(labels[:, t])[:, None]
        maps.scatter_add_(1, labels[:, t, None].long() * mask, mask * weights[:, t, None, None, None])
    return _normalise(_gaussian(maps.permute(2, 0, 1, 3)).permute(1, 2, 0, 3), dim=1)


def _prior_of_present(labels: Tensor, weights: Tensor, num_classes: int) -> Tensor:
    """Filters the classes that occur in a sample; where every pixel is labelled, all of them but one."""
    prior = torch.empty(len(labels), num_classes, *labels.shape[2:])
    for out, sample, weight in zip(prior, labels, weights, strict=True):
        # A search stops at the first pixel of a class and beats any count.
        pixels = sample.to(torch.uint8).numpy().tobytes()
        present = [c in pixels for c in range(num_classes)]
        classes = [c for c in range(num_classes) if present[c]]
        complete = IGNORE_INDEX not in pixels
        filtered = classes[:-1] if complete else classes
        maps = _gaussian(_frequencies(sample, weight, filtered))
        for i, c in enumerate(filtered):
            out[c] = maps[:, i]
        for c in range(num_classes):
            if not present[c]:
                out[c].zero_()
        if complete:  # the maps sum to one, so the last class is what the others leave
            torch.sub(1, maps.sum(1), out=out[classes[-1]]).clamp_(min=0)
        else:
            out.copy_(_normalise(out, dim=0))
    return prior


def _frequencies(labels: Tensor, weights: Tensor, classes: list[int]) -> Tensor:
    """Weighted share of the seasons ``(T, H, W)`` in which a pixel is of a class, ``(H, P, W)`` for P classes."""
    seasons, height, width = labels.shape
    maps = torch.empty(height, len(classes), width)
    hits = torch.empty(labels.shape)
    for i, c in enumerate(classes):
        torch.eq(labels, c, out=hits)
        maps[:, i] = (weights @ hits.view(seasons, -1)).view(height, width)
    return maps


def _normalise(maps: Tensor, dim: int) -> Tensor:
    """Divides by the sum over classes; uniform where nothing labelled is near."""
    total = maps.sum(dim, keepdim=True)
    return torch.where(total > 0, maps / total, 1 / maps.shape[dim])


def _gaussian(maps: Tensor) -> Tensor:
    """Filters ``(H, ..., W)`` along W and H: with rows first in memory both passes are plain matrix products."""
    if maps.numel() == 0:  # a patch of one class
        return maps
    height, width = maps.shape[0], maps.shape[-1]
    along, both = torch.empty(maps.shape, device=maps.device), torch.empty(maps.shape, device=maps.device)
    source, target = maps.reshape(-1, width), along.view(-1, width)
    for reach, out, block in gaussian_blocks(width, maps.device):
        torch.mm(source[:, reach], block.T, out=target[:, out])
    source, target = along.view(height, -1), both.view(height, -1)
    for reach, out, block in gaussian_blocks(height, maps.device):
        torch.mm(block, source[reach], out=target[out])
    return both


@lru_cache(maxsize=32)
def gaussian_blocks(size: int, device: torch.device) -> list[tuple[slice, slice, Tensor]]:
    """The filter of one axis as a matrix, ``(inputs, outputs, weights)`` for each block that is not all zero.

    Row i of the whole ``(size, size)`` matrix holds the weights of output i, float32; what lies beyond a border is
    folded back in.
    """
    offsets = torch.arange(-RADIUS, RADIUS + 1)
    kernel = torch.exp(-0.5 * (offsets.double() / SIGMA) ** 2)
    source = (torch.arange(size)[:, None] + offsets) % (2 * size)  # mirrored over and over: period of two sizes
    source = torch.where(source < size, source, 2 * size - 1 - source)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    matrix.scatter_add_(1, source, (kernel / kernel.sum()).expand(size, -1))
    matrix = matrix.float().to(device)
    outputs = [slice(a, min(a + _BLOCK, size)) for a in range(0, size, _BLOCK)]
    inputs = [slice(max(out.start - RADIUS, 0), out.stop + RADIUS) for out in outputs]
    return [(reach, out, matrix[out, reach]) for reach, out in zip(inputs, outputs, strict=True)]
