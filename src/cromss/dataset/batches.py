"""From a reader of locations to batches: read on the host, prepared on the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cromss.dataset.augment import Geometry
from cromss.dataset.reader import LocationReader
from cromss.dataset.sampling import SampleIndex, TrainBatchSampler
from cromss.dataset.scaling import Scale
from cromss.smoothing import Smoothing
from cromss.types import IGNORE_INDEX, Batch, RawBatch

Images = dict[str, Tensor]


class LocationDataset(Dataset[RawBatch]):
    """Reads whole batches: every value is copied once, from the pages of the file into the batch.

    Args:
        reader: Source of locations.
        bands: Modality -> positions of the wanted bands in the stored order.
    """

    def __init__(self, reader: LocationReader, bands: Mapping[str, Sequence[int]]) -> None:
        self.reader = reader
        self.bands = dict(bands)

    def __getitems__(self, samples: list[SampleIndex]) -> RawBatch:
        """Reads one batch."""
        info = self.reader.info
        images = {}
        for modality, bands in self.bands.items():
            stored = info.modalities[modality]
            # None reads all bands in stored order, which needs only one plain copy.
            wanted = None if list(bands) == list(range(len(stored.bands))) else bands
            out = np.empty((len(samples), len(bands), *info.size), dtype=stored.dtype)
            for sample, image in zip(samples, out, strict=True):
                self.reader.read_images(sample.location, sample.season, modality, wanted, image)
            images[modality] = torch.from_numpy(out)
        labels = np.full((len(samples), info.seasons, *info.size), IGNORE_INDEX, np.uint8)
        truth = np.full((len(samples), *info.size), IGNORE_INDEX, np.uint8) if info.has_truth else None
        for i, sample in enumerate(samples):
            if not sample.padding:
                labels[i] = self.reader.read_labels(sample.location)
                if truth is not None:
                    truth[i] = self.reader.read_truth(sample.location)[sample.season]
        return RawBatch(
            images=images,
            labels=torch.from_numpy(labels),
            season=torch.tensor([sample.season for sample in samples]),
            truth=None if truth is None else torch.from_numpy(truth),
            seeds=[sample.seed for sample in samples],
            locations=[-1 if sample.padding else sample.location for sample in samples],
        )


class TrainDataLoader(DataLoader):
    """A loader of `TrainBatchSampler` that resumes within an epoch; Lightning saves and restores its state.

    Args:
        trained: Returns how many batches of the epoch are trained; fewer than are read, where workers read ahead.
        settings: See `torch.utils.data.DataLoader`.
    """

    def __init__(self, trained: Callable[[], int], **settings: Any) -> None:
        super().__init__(**settings)
        self.trained = trained

    def state_dict(self) -> dict[str, int]:
        """The number of trained batches."""
        return {"batches": self.trained()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Skips these batches in the next epoch."""
        assert isinstance(self.batch_sampler, TrainBatchSampler)
        self.batch_sampler.skip(state_dict["batches"])


class BatchView:
    """What happens to a raw batch on the device before the network sees it.

    The target is made of whole patches, before the crop: pixels just outside of the crop are neighbours, too.

    Args:
        geometry: Crop, flips and rotation of all parts of a batch together.
        smoothing: Makes the target.
        scaling: Makes the model input of stored values.
    """

    def __init__(self, geometry: Geometry, smoothing: Smoothing, scaling: Scale) -> None:
        self.geometry = geometry
        self.smoothing = smoothing
        # Quantised pixels are a quarter of the bytes to move, and are scaled afterwards. Raw units are scaled first,
        # as their outliers are determined over the whole patch.
        compact = all(scaling.quantised.values())
        self.before: Callable[[Images], Images] = dict if compact else scaling
        self.after: Callable[[Images], Images] = scaling if compact else dict

    @torch.no_grad()
    def __call__(self, raw: RawBatch) -> Batch:
        """Raw batch -> batch, on the device on which the raw batch lies."""
        device = raw.labels.device
        height, width = raw.labels.shape[-2:]
        move = self.geometry(height, width, raw.seeds, device)
        images = {modality: move.pixels(image) for modality, image in self.before(raw.images).items()}
        drawn = raw.labels[torch.arange(len(raw.season), device=device), raw.season]
        labels = move.classes(drawn).long()
        return Batch(
            images=self.after(images),
            labels=labels,
            target=self.smoothing(raw.labels, raw.season, labels, move.pixels),
            truth=None if raw.truth is None else move.classes(raw.truth).long(),
            locations=raw.locations,
        )
