"""Draws the locations and seasons of each batch, on the host.

Batches depend only on ``(seed, epoch)``, so an interrupted run that is resumed sees the same ones as a run
that never stopped, whatever the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from cromss.types import RANDOM_SEASON


class SampleIndex(NamedTuple):
    """One sample to read.

    Attributes:
        location: Its index.
        season: Season of that location.
        seed: Of its random geometry.
        padding: True for a sample that only fills up a batch; it is read with all labels ignored.
    """

    location: int
    season: int
    seed: int
    padding: bool = False


def split(locations: int, val_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Splits locations at random into training and validation.

    Args:
        locations: Their number.
        val_fraction: Share of the locations for validation in [0, 1); above 0 at least one location.
        seed: Of the split alone, so that runs with different training seeds are compared on the same locations.

    Returns:
        Indices for training and for validation, int64; the latter in ascending order, empty for a share of 0.

    Raises:
        ValueError: No location is left to train on.
    """
    held_out = max(1, round(locations * val_fraction)) if val_fraction > 0 else 0
    if held_out >= locations:
        raise ValueError(
            f"dataset.val_fraction={val_fraction} of {locations} location(s) leaves none to train on: lower it, "
            "or set it to 0 to train without validation"
        )
    order = torch.randperm(locations, generator=torch.Generator().manual_seed(seed))
    return order[held_out:], order[:held_out].sort().values


def subsample(locations: Tensor, samples: int | None, seed: int) -> Tensor:
    """Draws some of the locations to train on, for runs with few labels.

    Args:
        locations: Indices, int64 ``(N,)``.
        samples: How many; None takes all. With the same seed, fewer samples are a subset of more.
        seed: Of the draw.

    Raises:
        ValueError: There are fewer.
    """
    if samples is None:
        return locations
    if not 1 <= samples <= len(locations):
        raise ValueError(
            f"dataset.train_samples={samples}: there are {len(locations)} locations to train on; set 1 to "
            f"{len(locations)}, or null for all"
        )
    ordered = locations.sort().values
    return ordered[torch.randperm(len(ordered), generator=torch.Generator().manual_seed(seed))[:samples]]


@dataclass(eq=False)
class TrainBatchSampler(Sampler[list[SampleIndex]]):
    """Batches in random order with a season drawn for every sample, the same on every machine.

    Args:
        locations: Indices to draw from, int64 ``(N,)``.
        seasons: Number of seasons T to draw from.
        season: A fixed season, or ``"random"``.
        batch_size: Samples per batch on this process.
        seed: The run's seed.
        epoch: Returns the epoch at the moment the iteration starts. A function, since a resumed run starts to read
            before Lightning sets the epoch.
        rank: Of this process.
        world_size: Number of processes; each gets the same number of batches.
    """

    locations: Tensor
    seasons: int
    season: int | str
    batch_size: int
    seed: int
    epoch: Callable[[], int]
    rank: int
    world_size: int
    _skipped: int = field(default=0, init=False)

    def skip(self, batches: int) -> None:
        """Leaves out the first batches of the epoch that is read next: they are trained already."""
        self._skipped = batches

    def __len__(self) -> int:
        """Batches per epoch on this process, skipped ones too: only whole ones, or else a single smaller one."""
        return max(1, len(self.locations) // self.world_size // self.batch_size)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        """Yields the samples of each batch."""
        # Mixed into 32 bits, as torch's generator uses no more of a seed and silently drops the rest.
        (mixed,) = np.random.SeedSequence((self.seed, self.epoch())).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed))
        order = self.locations[torch.randperm(len(self.locations), generator=generator)]
        seasons = torch.randint(self.seasons, order.shape, generator=generator)
        if self.season != RANDOM_SEASON:
            seasons = torch.full_like(order, int(self.season))
        seeds = torch.randint(2**32, order.shape, generator=generator)
        rows = torch.stack((order, seasons, seeds), dim=1)[self.rank :: self.world_size]
        skipped, self._skipped = self._skipped, 0
        for start in range(skipped * self.batch_size, len(self) * self.batch_size, self.batch_size):
            yield [SampleIndex(*row) for row in rows[start : start + self.batch_size].tolist()]


class EvalBatchSampler(Sampler[list[SampleIndex]]):
    """Every location once, in order, at one season.

    Each of several processes gets the same number of samples, as their networks exchange batch-norm buffers in every
    forward pass. A process with fewer gets padding that counts nowhere, so no sample is counted twice.

    Args:
        locations: Indices, int64 ``(N,)``.
        season: The season of all samples.
        batch_size: Samples per batch on this process.
        rank: Of this process.
        world_size: Number of processes.
    """

    def __init__(self, locations: Tensor, season: int, batch_size: int, rank: int, world_size: int) -> None:
        own = locations[rank::world_size].tolist()
        samples = [SampleIndex(location, season, 0) for location in own]
        missing = math.ceil(len(locations) / world_size) - len(own)
        samples += [SampleIndex(int(locations[0]), season, 0, padding=True)] * missing
        self.batches = [samples[start : start + batch_size] for start in range(0, len(samples), batch_size)]

    def __len__(self) -> int:
        """Batches on this process."""
        return len(self.batches)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        """Yields the samples of each batch."""
        return iter(self.batches)
