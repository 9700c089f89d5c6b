"""Which locations and seasons make up a batch: drawn on the host, from numbers alone.

A draw depends on ``(seed, epoch)`` and nothing else, so an interrupted run that is resumed sees the same batches as one
that never stopped, whatever the number of workers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
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
        val_fraction: Share of the locations for validation in [0, 1). More than 0 takes one location at least.
        seed: Of the split alone, so that runs with different training seeds are compared on the same locations.

    Returns:
        Indices for training and for validation, int64; the latter in ascending order, empty for a share of 0.

    Raises:
        ValueError: Nothing would be left to train on.
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
        samples: How many; None takes all. Fewer samples of the same seed are part of more.
        seed: Which ones.

    Raises:
        ValueError: There are not as many.
    """
    if samples is None:
        return locations
    if not 1 <= samples <= len(locations):
        raise ValueError(
            f"dataset.train_samples={samples}: there are {len(locations)} locations to train on; give 1 to "
            f"{len(locations)}, or null for all"
        )
    ordered = locations.sort().values
    return ordered[torch.randperm(len(ordered), generator=torch.Generator().manual_seed(seed))[:samples]]


class TrainBatchSampler(Sampler[list[SampleIndex]]):
    """Batches in random order with a season drawn for every sample, the same on every machine.

    Args:
        locations: Indices to draw from, int64 ``(N,)``.
        seasons: Number of seasons T to draw from.
        season: A fixed season, or ``"random"``.
        batch_size: Samples a batch on this process.
        seed: The run's seed.
        epoch: Tells the epoch at the moment the iteration starts. Asked instead of stored, since a resumed run starts
            to read before anybody is told the epoch.
        rank: Of this process.
        world_size: Number of processes; each gets the same number of batches.
    """

    def __init__(
        self,
        locations: Tensor,
        seasons: int,
        season: int | str,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int],
        rank: int,
        world_size: int,
    ) -> None:
        self.locations = locations
        self.seasons = seasons
        self.season = season
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.rank = rank
        self.world_size = world_size
        self._done = 0

    def skip(self, batches: int) -> None:
        """Leaves out the first batches of the epoch that is read next: they are trained already."""
        self._done = batches

    def __len__(self) -> int:
        """Batches an epoch on this process, skipped ones too: whole ones, or a single smaller one for lack of one."""
        own = len(self.locations) // self.world_size
        return max(1, own // self.batch_size)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        """Yields one list of draws a batch."""
        # Mixed into 32 bits, as torch's generator takes no more of a seed and silently drops the rest.
        (mixed,) = np.random.SeedSequence((self.seed, self.epoch())).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed))
        order = self.locations[torch.randperm(len(self.locations), generator=generator)]
        seasons = torch.randint(self.seasons, order.shape, generator=generator)
        if self.season != RANDOM_SEASON:
            seasons = torch.full_like(order, int(self.season))
        seeds = torch.randint(2**32, order.shape, generator=generator)
        rows = torch.stack((order, seasons, seeds), dim=1)[self.rank :: self.world_size]
        done, self._done = self._done, 0
        for start in range(done * self.batch_size, len(self) * self.batch_size, self.batch_size):
            yield [SampleIndex(*row) for row in rows[start : start + self.batch_size].tolist()]


class EvalBatchSampler(Sampler[list[SampleIndex]]):
    """Every location once, in order, at one season.

    Under several processes each gets the same number of samples, as their networks exchange batch-norm buffers in every
    forward pass and must take equally many. What is short is filled with padding that counts nowhere, so no sample is
    counted twice.

    Args:
        locations: Indices, int64 ``(N,)``.
        season: The season of all samples.
        batch_size: Samples a batch on this process.
        rank: Of this process.
        world_size: Number of processes.
    """

    def __init__(self, locations: Tensor, season: int, batch_size: int, rank: int, world_size: int) -> None:
        self.season = season
        self.batch_size = batch_size
        own = locations[rank::world_size]
        longest = math.ceil(len(locations) / world_size)
        self.draws = [SampleIndex(int(i), season, 0) for i in own]
        self.draws += [SampleIndex(int(locations[0]), season, 0, padding=True)] * (longest - len(own))

    def __len__(self) -> int:
        """Batches on this process."""
        return math.ceil(len(self.draws) / self.batch_size)

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        """Yields one list of draws a batch."""
        for start in range(0, len(self.draws), self.batch_size):
            yield self.draws[start : start + self.batch_size]
