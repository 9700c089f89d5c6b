"""From a reader of locations to batches on the device: splits, loaders, and what is done once a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from cromss.dataset.augment import HALVINGS, CentreCrop, Geometry, RandomGeometry, WholePatch
from cromss.dataset.bands import Scale, band_positions, select_bands
from cromss.dataset.classes import check_class_names
from cromss.dataset.labelled import check_labelled, count_labelled
from cromss.dataset.own_statistics import PUBLISHED, STATISTICS, OwnStatistics
from cromss.dataset.reader import DatasetInfo, LocationReader
from cromss.dataset.sampling import EvalBatchSampler, SampleIndex, TrainBatchSampler, split, subsample
from cromss.dataset.workers import ErrorsAsValues, ignore_foreign_signals, raise_if_error
from cromss.types import IGNORE_INDEX, RANDOM_SEASON, Batch, RawBatch

Images = dict[str, Tensor]


class Prior(Protocol):
    """What the data module needs of the smoothing: the class distribution of whole patches."""

    def prior(self, labels: Tensor, season: Tensor) -> Tensor | None:
        """``(B, T, H, W)`` labels and ``(B,)`` seasons -> ``(B, C, H, W)``, or None where none is needed."""
        ...


class LocationDataset(Dataset[RawBatch]):
    """Reads whole batches: every value is copied once, from the file's pages to its place in the batch.

    Args:
        reader: Source of locations.
        bands: Modality -> positions of the wanted bands in the stored order.
    """

    def __init__(self, reader: LocationReader, bands: Mapping[str, Sequence[int]]) -> None:
        self.reader = reader
        self.bands = dict(bands)

    def __len__(self) -> int:
        """Number of locations."""
        return len(self.reader)

    def __getitems__(self, draws: list[SampleIndex]) -> RawBatch:
        """Reads one batch."""
        info = self.reader.info
        images = {}
        for modality, bands in self.bands.items():
            stored = info.modalities[modality]
            # None asks for all bands in stored order, which a reader serves with one plain copy.
            wanted = None if list(bands) == list(range(len(stored.bands))) else bands
            out = np.empty((len(draws), len(bands), *info.size), dtype=stored.dtype)
            for draw, image in zip(draws, out, strict=True):
                self.reader.read_images(draw.location, draw.season, modality, wanted, image)
            images[modality] = torch.from_numpy(out)
        labels = np.empty((len(draws), info.seasons, *info.size), np.uint8)
        for draw, sample in zip(draws, labels, strict=True):
            sample[...] = IGNORE_INDEX if draw.padding else self.reader.read_labels(draw.location)
        truth = None
        if info.has_truth:
            truth = np.empty((len(draws), *info.size), np.uint8)
            for draw, sample in zip(draws, truth, strict=True):
                sample[...] = IGNORE_INDEX if draw.padding else self.reader.read_truth(draw.location)[draw.season]
        return RawBatch(
            images=images,
            labels=torch.from_numpy(labels),
            season=torch.tensor([draw.season for draw in draws]),
            truth=None if truth is None else torch.from_numpy(truth),
            seeds=[draw.seed for draw in draws],
            locations=[-1 if draw.padding else draw.location for draw in draws],
        )


class BatchView:
    """What happens to a raw batch on the device before the network sees it.

    The prior is built from the whole patch, before the crop: pixels just outside the crop are neighbours too.

    Args:
        geometry: Crop, flips and rotation of images, prior and labels together.
        smoothing: Builds the prior.
        scaling: Makes the model input of stored values.
    """

    def __init__(self, geometry: Geometry, smoothing: Prior, scaling: Scale) -> None:
        self.geometry = geometry
        self.smoothing = smoothing
        # Quantised pixels are a quarter of the bytes to move, and their scaling commutes with moving them. Raw units
        # come first: their outliers are found in the whole patch.
        compact = all(scaling.quantised.values())
        self.before: Callable[[Images], Images] = dict if compact else scaling
        self.after: Callable[[Images], Images] = scaling if compact else dict

    @torch.no_grad()
    def __call__(self, raw: RawBatch) -> Batch:
        """Raw batch -> batch, on the device that the raw batch lies on."""
        rows = torch.arange(len(raw.season), device=raw.labels.device)
        moved = self.geometry(
            self.before(raw.images),
            raw.labels[rows, raw.season],
            raw.seeds,
            truth=raw.truth,
            prior=self.smoothing.prior(raw.labels, raw.season),
        )
        truth = None if moved.truth is None else moved.truth.long()
        return Batch(self.after(moved.images), moved.labels.long(), moved.prior, truth, raw.locations)


class NoPrior:
    """Evaluation compares with the labels as they are."""

    def prior(self, labels: Tensor, season: Tensor) -> None:
        """None, whatever the labels."""


class TrainDataLoader(DataLoader):
    """Says in a checkpoint how far its epoch is, and goes on there; Lightning asks where it goes on within an epoch.

    Args:
        draws: Its batches.
        trained: Tells how many of an epoch are trained; fewer than are read, where workers read ahead.
        reading: See `torch.utils.data.DataLoader`.
    """

    def __init__(self, draws: TrainBatchSampler, trained: Callable[[], int], **reading: Any) -> None:
        super().__init__(**reading)
        self.draws = draws
        self.trained = trained

    def state_dict(self) -> dict[str, int]:
        """The number of trained batches."""
        return {"batches": self.trained()}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on after these, in the epoch that is read next."""
        self.draws.skip(state_dict["batches"])


class LocationDataModule(L.LightningDataModule):
    """Training and evaluation views of a source of locations, and of another one to test on.

    Args:
        reader: Source of locations to train on, and to validate on.
        test_reader: Source of the locations to test on; None tests on the validation split.
        modalities: Which modalities to read.
        bands: Number or name of the S2 band subset, see `cromss.dataset.bands`.
        classes: Class names of the task; a dataset with more classes is refused.
        season: ``"random"`` draws one a sample; a number fixes it. Training only.
        eval_season: The season of validation and test.
        normalisation: ``"quantise"``, ``"standardise"`` or ``"reflectance"``.
        statistics: By whose mean and standard deviation: ``"published"``, or ``"store"`` for those that `reader` keeps.
            The test set is scaled by the same ones.
        crop: Side of the random crop in training, in pixels; ``"auto"`` takes the largest multiple of 32 that fits.
        validate: Validation looks at the ``"centre"``, the crop in the middle, or at the ``"whole"`` patch.
        evaluate: Likewise the test. ``"whole"`` scores each labelled pixel once.
        flip: Probability of a flip in [0, 1].
        rotate: Probability of a rotation in [0, 1].
        degrees: Largest angle of a rotation.
        val_fraction: Share of the locations for validation in [0, 1).
        split_seed: Seed of the split.
        train_samples: Number of locations to train on, drawn from those that are not for validation; None takes all.
        samples_seed: Which ones.
        smoothing: Builds the prior of a training batch.
        batch_size: Samples a batch on each process.
        workers: Loader processes; 0 reads in the training process.
        seed: The run's seed.

    Attributes:
        test_pixels: How many pixels of the test set have a label in `eval_season`, scored or not.
        test_geometry: What the test looks at of each patch.

    Raises:
        ValueError: The dataset does not fit the settings; the message names the key to change.
    """

    def __init__(
        self,
        reader: LocationReader,
        test_reader: LocationReader | None = None,
        *,
        modalities: Sequence[str],
        bands: int | str,
        classes: Sequence[str],
        season: int | str,
        eval_season: int,
        normalisation: str,
        statistics: str,
        crop: int | str,
        validate: str,
        evaluate: str,
        flip: float,
        rotate: float,
        degrees: float,
        val_fraction: float,
        split_seed: int,
        train_samples: int | None,
        samples_seed: int,
        smoothing: Prior,
        batch_size: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.season = season
        self.eval_season = eval_season
        self.batch_size = batch_size
        self.workers = workers
        self.seed = seed
        self.test_reader = reader if test_reader is None else test_reader
        _check_seasons(season, eval_season, reader.info.seasons)
        _check_seasons(0, eval_season, self.test_reader.info.seasons)
        self.crop = _crop(crop, reader.info.size)
        if statistics not in STATISTICS:
            raise ValueError(f"dataset.statistics={statistics} is unknown: choose one of {', '.join(STATISTICS)}")
        positions = {modality: band_positions(modality, bands) for modality in modalities}

        def opened(source: LocationReader) -> LocationDataset:
            _check_classes(classes, source.info.classes)
            return LocationDataset(source, {m: _stored_positions(source.info, m, p) for m, p in positions.items()})

        def scaled(source: LocationReader) -> Scale:
            quantised = {m: source.info.modalities[m].quantised for m in modalities}
            _check_units(own, quantised)
            return Scale(normalisation, positions, quantised, own.bands)

        self.dataset, self.test_dataset = opened(reader), opened(self.test_reader)
        own = OwnStatistics({}, {}) if statistics == PUBLISHED else OwnStatistics.of(reader.info, positions)
        self.own_statistics = own
        scaling, test_scaling = scaled(reader), scaled(self.test_reader)
        remaining, self.val_locations = split(len(reader), val_fraction, split_seed)
        self.train_locations = subsample(remaining, train_samples, samples_seed)
        self.test_locations = self.val_locations if test_reader is None else torch.arange(len(test_reader))
        check_labelled("train", reader, self.train_locations)
        check_labelled("validate", reader, self.val_locations)
        self.test_pixels = count_labelled(self.test_reader, self.test_locations, eval_season)
        self.train_view = BatchView(RandomGeometry(self.crop, flip, rotate, degrees), smoothing, scaling)
        self.eval_view = BatchView(_evaluation("validate", validate, self.crop), NoPrior(), scaling)
        test_crop = min(self.crop, _crop("auto", self.test_reader.info.size))
        self.evaluate = evaluate
        self.test_geometry = _evaluation("evaluate", evaluate, test_crop)
        self.test_view = BatchView(self.test_geometry, NoPrior(), test_scaling)

    def state_dict(self) -> dict[str, Any]:
        """The numbers that images are scaled by, for the checkpoint; empty where these are the published ones."""
        return self.own_statistics.as_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """ValueError where a checkpoint's images were scaled by other numbers than those of this dataset."""
        if not self.own_statistics.agrees(OwnStatistics.from_dict(state_dict)):
            raise ValueError(
                "dataset.statistics=store: the checkpoint was trained on images scaled by another mean and standard "
                "deviation than this dataset keeps. Give the store that it was trained on as dataset.path; another "
                "one to test on goes by dataset.test_path"
            )

    def train_dataloader(self) -> DataLoader:
        """Loader of training batches; built anew for each fit, when rank and epoch are known."""
        trainer = self.trainer
        assert trainer is not None
        if len(self.train_locations) < trainer.world_size:
            raise ValueError(
                f"{len(self.train_locations)} location(s) to train on cannot be shared by {trainer.world_size} "
                "processes: lower trainer.devices, or dataset.val_fraction"
            )
        loop = trainer.fit_loop
        draws = TrainBatchSampler(
            self.train_locations,
            self.reader.info.seasons,
            self.season,
            self.batch_size,
            self.seed,
            # On resume `current_epoch` still lags when the first batches are read; this counter does not.
            lambda: loop.epoch_progress.current.processed,  # type: ignore[attr-defined]
            trainer.global_rank,
            trainer.world_size,
        )
        return TrainDataLoader(
            draws=draws,
            trained=lambda: loop.epoch_loop.batch_progress.current.processed,  # type: ignore[attr-defined]
            **self._reading(self.dataset, draws),
        )

    def val_dataloader(self) -> DataLoader | list:
        """Loader of validation batches; an empty list where no location is held out."""
        if not len(self.val_locations):
            return []
        return self._evaluation_loader(self.dataset, self.val_locations, self.batch_size)

    def check_test(self) -> None:
        """ValueError where there is neither a test set nor a validation split."""
        if len(self.test_locations) == 0:
            raise ValueError(
                "there is nothing to test on: give dataset.test_path, or dataset.val_fraction to hold locations out; "
                "trainer.test=null trains without a test"
            )

    def test_dataloader(self) -> DataLoader:
        """Loader of test batches; `check_test` says whether there are any."""
        return self._evaluation_loader(self.test_dataset, self.test_locations, self.test_batch_size)

    @property
    def test_batch_size(self) -> int:
        """Samples of a test batch: no more pixels than in a training batch, but one patch at least."""
        height, width = self.test_reader.info.size
        pixels = self.test_geometry.pixels(height, width)
        return max(1, min(self.batch_size, self.batch_size * self.crop**2 // pixels))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Raises here what went wrong in a loader process."""
        return raise_if_error(batch)

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Scales, builds the prior and moves all together, on the device, for the whole batch."""
        assert self.trainer is not None
        if self.trainer.training:
            return self.train_view(batch)
        return self.test_view(batch) if self.trainer.testing else self.eval_view(batch)

    def _evaluation_loader(self, dataset: LocationDataset, locations: Tensor, batch_size: int) -> DataLoader:
        assert self.trainer is not None
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        draws = EvalBatchSampler(locations, self.eval_season, batch_size, rank, world_size)
        return DataLoader(**self._reading(dataset, draws))

    def _reading(self, dataset: LocationDataset, draws: Sampler[list[SampleIndex]]) -> dict[str, Any]:
        """Settings of a loader."""
        return {
            "dataset": ErrorsAsValues(dataset) if self.workers else dataset,
            "batch_sampler": draws,
            "num_workers": self.workers,
            # Indexing with a list of draws gives a whole batch, so there is nothing left to collate.
            "collate_fn": _as_read,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": ignore_foreign_signals,
            # Otherwise it takes a number from torch's own at a moment that a resumed run reaches earlier.
            "generator": torch.Generator(),
        }


def _as_read(batch: Any) -> Any:
    return batch


def _stored_positions(info: DatasetInfo, modality: str, positions: Sequence[int]) -> list[int]:
    """Where the wanted bands stand in the stored order, by name."""
    if modality not in info.modalities:
        raise ValueError(
            f"the dataset holds {', '.join(info.modalities)} and no {modality}: train on what is there by fusion=single"
        )
    stored = info.modalities[modality].bands
    wanted = [band.name for band in select_bands(modality, positions)]
    missing = [name for name in wanted if name not in stored]
    if missing:
        raise ValueError(
            f"dataset.bands wants {len(wanted)} bands of {modality}, and the dataset lacks {', '.join(missing)} of "
            f"them; it holds {', '.join(stored)}: choose a subset of these"
        )
    return [stored.index(name) for name in wanted]


def _check_units(own: OwnStatistics, quantised: Mapping[str, bool]) -> None:
    """ValueError where a test set holds values of other units than the training set's statistics."""
    for modality, trained in own.quantised.items():
        if trained != quantised[modality]:
            raise ValueError(
                f"dataset.statistics=store: {modality} is quantised in one of training and test set and not in the "
                "other: prepare both with the same quantise=…, or say dataset.statistics=published"
            )


def _crop(crop: int | str, size: tuple[int, int]) -> int:
    if crop == "auto":
        crop = min(size) // HALVINGS * HALVINGS or min(size)
    if int(crop) > min(size):
        raise ValueError(
            f"dataset.crop={crop} is larger than the patches of {size[0]} x {size[1]} px: "
            f"set dataset.crop to at most {min(size)}, or to auto"
        )
    return int(crop)


def _evaluation(key: str, part: str, crop: int) -> CentreCrop | WholePatch:
    if part not in ("centre", "whole"):
        raise ValueError(f"dataset.{key}={part} is unknown: centre (the crop in the middle) or whole (all of a patch)")
    return WholePatch() if part == "whole" else CentreCrop(crop)


def _check_seasons(season: int | str, eval_season: int, seasons: int) -> None:
    for key, value in (("season", season), ("eval_season", eval_season)):
        if value == RANDOM_SEASON and key == "season":
            continue
        if not isinstance(value, int) or not 0 <= value < seasons:
            raise ValueError(f"dataset.{key}={value}: the dataset has {seasons} season(s), 0 to {seasons - 1}")


def _check_classes(wanted: Sequence[str], stored: Sequence[str]) -> None:
    check_class_names(wanted, "dataset.classes")
    check_class_names(stored, "the classes of the dataset")
    if list(wanted[: len(stored)]) != list(stored):
        raise ValueError(
            f"the dataset has {len(stored)} classes ({', '.join(stored)}) and dataset.classes names {len(wanted)} "
            f"({', '.join(wanted)}): name those of the dataset, in its order, in dataset.classes"
        )
