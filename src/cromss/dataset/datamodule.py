"""The data of a run: splits, loaders, and how batches are prepared for the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from cromss.dataset.augment import HALVINGS, CentreView, RandomGeometry
from cromss.dataset.bands import band_positions, select_bands
from cromss.dataset.batches import BatchView, LocationDataset, TrainDataLoader
from cromss.dataset.classes import check_class_names
from cromss.dataset.labelled import check_labelled, count_labelled
from cromss.dataset.own_statistics import PUBLISHED, STATISTICS, OwnStatistics
from cromss.dataset.reader import DatasetInfo, LocationReader
from cromss.dataset.sampling import EvalBatchSampler, SampleIndex, TrainBatchSampler, split, subsample
from cromss.dataset.scaling import Scale
from cromss.dataset.workers import ErrorsAsValues, ignore_foreign_signals, raise_if_error
from cromss.smoothing import NoSmoothing, Smoothing
from cromss.types import RANDOM_SEASON, Batch, RawBatch, check_choice

EVALUATED = ("centre", "whole")
"""The evaluated part of each patch: the crop in the middle, or the whole patch."""


class LocationDataModule(L.LightningDataModule):
    """Training and evaluation views of a source of locations, and of another one to test on.

    Args:
        reader: Source of locations to train on, and to validate on.
        test_reader: Source of the locations to test on; None tests on the validation split.
        modalities: Which modalities to read.
        bands: Number or name of the S2 band subset, see `cromss.dataset.bands`.
        classes: Class names of the task; a dataset with more classes is refused.
        season: ``"random"`` draws one per sample; a number fixes it. Training only.
        eval_season: The season of validation and test.
        normalisation: ``"quantise"``, ``"standardise"`` or ``"reflectance"``.
        statistics: Source of the mean and deviation that scale the images: ``"published"``, or ``"store"``, those that
            `reader` keeps. The test set is scaled by the same ones.
        crop: Side of the random crop in training, in pixels; ``"auto"`` takes the largest multiple of 32 that fits.
        validate: Part of each patch that is validated, one of `EVALUATED`.
        evaluate: The same for the test; ``"whole"`` scores each labelled pixel once.
        flip: Probability of a flip in [0, 1].
        rotate: Probability of a rotation in [0, 1].
        degrees: Largest angle of a rotation.
        val_fraction: Share of the locations for validation in [0, 1).
        split_seed: Seed of the split.
        train_samples: Number of locations to train on, drawn from those that are not for validation; None takes all.
        samples_seed: Seed of that draw.
        smoothing: Makes the target of a training batch.
        batch_size: Samples per batch on each process.
        workers: Loader processes; 0 reads in the training process.
        seed: The run's seed.

    Attributes:
        test_pixels: How many pixels of the test set have a label in `eval_season`, scored or not.
        test_geometry: The tested part of each patch.

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
        smoothing: Smoothing,
        batch_size: int,
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        check_choice("dataset.statistics", statistics, STATISTICS)
        check_choice("dataset.validate", validate, EVALUATED)
        check_choice("dataset.evaluate", evaluate, EVALUATED)
        self.reader = reader
        self.test_reader = reader if test_reader is None else test_reader
        self.season, self.eval_season, self.evaluate = season, eval_season, evaluate
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        if season != RANDOM_SEASON:
            _check_season("season", season, reader)
        for source in (reader, self.test_reader):
            _check_season("eval_season", eval_season, source)
            _check_classes(classes, source.info.classes)
        self.crop = _crop(crop, reader.info.size)
        positions = {modality: band_positions(modality, bands) for modality in modalities}
        self.dataset, self.test_dataset = (
            LocationDataset(source, {m: _stored_positions(source.info, m, p) for m, p in positions.items()})
            for source in (reader, self.test_reader)
        )
        own = OwnStatistics({}, {}) if statistics == PUBLISHED else OwnStatistics.of(reader.info, positions)
        self.own_statistics = own
        scaling, test_scaling = (
            Scale(normalisation, positions, _quantised(source.info, own, modalities), own.bands)
            for source in (reader, self.test_reader)
        )
        remaining, self.val_locations = split(len(reader), val_fraction, split_seed)
        self.train_locations = subsample(remaining, train_samples, samples_seed)
        self.test_locations = self.val_locations if test_reader is None else torch.arange(len(test_reader))
        check_labelled("train", reader, self.train_locations)
        check_labelled("validate", reader, self.val_locations)
        self.test_pixels = count_labelled(self.test_reader, self.test_locations, eval_season)
        test_crop = min(self.crop, _crop("auto", self.test_reader.info.size))
        self.test_geometry = CentreView(test_crop if evaluate == "centre" else None)
        self.train_view = BatchView(RandomGeometry(self.crop, flip, rotate, degrees), smoothing, scaling)
        self.eval_view = BatchView(CentreView(self.crop if validate == "centre" else None), NoSmoothing(), scaling)
        self.test_view = BatchView(self.test_geometry, NoSmoothing(), test_scaling)

    def state_dict(self) -> dict[str, Any]:
        """The statistics that scale images, for the checkpoint; empty if they are the published ones."""
        return self.own_statistics.as_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """ValueError where the images of a checkpoint were scaled by other statistics than those of this dataset."""
        if not self.own_statistics.agrees(OwnStatistics.from_dict(state_dict)):
            raise ValueError(
                "dataset.statistics=store: the checkpoint was trained on images scaled by another mean and standard "
                "deviation than this dataset keeps: set dataset.path to the store that it was trained on, and "
                "dataset.test_path to another one to test on"
            )

    def train_dataloader(self) -> DataLoader:
        """Loader of training batches; built again for each fit, when rank and epoch are known."""
        trainer = self.trainer
        assert trainer is not None
        if len(self.train_locations) < trainer.world_size:
            raise ValueError(
                f"{len(self.train_locations)} location(s) to train on cannot be shared by {trainer.world_size} "
                "processes: lower trainer.devices, or dataset.val_fraction"
            )
        loop = trainer.fit_loop
        sampler = TrainBatchSampler(
            self.train_locations,
            self.reader.info.seasons,
            self.season,
            self.batch_size,
            self.seed,
            # On resume `current_epoch` is still that of before when the first batches are read; this counter is not.
            lambda: loop.epoch_progress.current.processed,  # type: ignore[attr-defined]
            trainer.global_rank,
            trainer.world_size,
        )
        return TrainDataLoader(
            lambda: loop.epoch_loop.batch_progress.current.processed,  # type: ignore[attr-defined]
            **self._settings(self.dataset, sampler),
        )

    def val_dataloader(self) -> DataLoader | list:
        """Loader of validation batches; an empty list where no location is held out."""
        if not len(self.val_locations):
            return []
        return self._evaluation_loader(self.dataset, self.val_locations, self.batch_size)

    def check_test(self) -> None:
        """Raises ValueError where there is neither a test set nor a validation split."""
        if len(self.test_locations) == 0:
            raise ValueError(
                "there is nothing to test on: set dataset.test_path, or dataset.val_fraction to hold locations out; "
                "trainer.test=null trains without a test"
            )

    def test_dataloader(self) -> DataLoader:
        """Loader of test batches; `check_test` says whether there are any."""
        return self._evaluation_loader(self.test_dataset, self.test_locations, self.test_batch_size)

    @property
    def test_batch_size(self) -> int:
        """Samples per test batch: no more pixels than in a training batch, but at least one patch."""
        height, width = self.test_reader.info.size
        pixels = self.test_geometry.pixels(height, width)
        return max(1, min(self.batch_size, self.batch_size * self.crop**2 // pixels))

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Raises the error of a loader process in the training process."""
        return raise_if_error(batch)

    def on_after_batch_transfer(self, batch: RawBatch, dataloader_idx: int) -> Batch:
        """Scales, crops, flips and rotates all together and makes the target: once per batch, on the device."""
        assert self.trainer is not None
        if self.trainer.training:
            return self.train_view(batch)
        return self.test_view(batch) if self.trainer.testing else self.eval_view(batch)

    def _evaluation_loader(self, dataset: LocationDataset, locations: Tensor, batch_size: int) -> DataLoader:
        assert self.trainer is not None
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        sampler = EvalBatchSampler(locations, self.eval_season, batch_size, rank, world_size)
        return DataLoader(**self._settings(dataset, sampler))

    def _settings(self, dataset: LocationDataset, sampler: Sampler[list[SampleIndex]]) -> dict[str, Any]:
        """Arguments of a loader."""
        return {
            "dataset": ErrorsAsValues(dataset) if self.workers else dataset,
            "batch_sampler": sampler,
            "num_workers": self.workers,
            # Indexing with a list of samples gives a whole batch, so there is nothing left to collate.
            "collate_fn": _as_read,
            "pin_memory": torch.cuda.is_available(),
            "worker_init_fn": ignore_foreign_signals,
            # Otherwise it draws from torch's global generator, whose state differs in a resumed run.
            "generator": torch.Generator(),
        }


def _as_read(batch: Any) -> Any:
    return batch


def _stored_positions(info: DatasetInfo, modality: str, positions: Sequence[int]) -> list[int]:
    """Positions of the wanted bands in the stored order, found by name."""
    if modality not in info.modalities:
        raise ValueError(
            f"the dataset holds {', '.join(info.modalities)} and no {modality}: train on what is there by fusion=single"
        )
    stored = info.modalities[modality].bands
    wanted = [band.name for band in select_bands(modality, positions)]
    if missing := [name for name in wanted if name not in stored]:
        raise ValueError(
            f"dataset.bands wants {len(wanted)} bands of {modality}, of which {', '.join(missing)} is missing in the "
            f"dataset; it holds {', '.join(stored)}: choose a subset of these"
        )
    return [stored.index(name) for name in wanted]


def _quantised(info: DatasetInfo, own: OwnStatistics, modalities: Sequence[str]) -> dict[str, bool]:
    """Modality -> whether it is stored quantised; ValueError where its own statistics have other units."""
    quantised = {modality: info.modalities[modality].quantised for modality in modalities}
    for modality, trained in own.quantised.items():
        if trained != quantised[modality]:
            raise ValueError(
                f"dataset.statistics=store: {modality} is quantised in one of training and test set and not in the "
                "other: prepare both with the same quantise=…, or set dataset.statistics=published"
            )
    return quantised


def _crop(crop: int | str, size: tuple[int, int]) -> int:
    if crop == "auto":
        return min(size) // HALVINGS * HALVINGS or min(size)
    if int(crop) > min(size):
        raise ValueError(
            f"dataset.crop={crop} is larger than the patches of {size[0]} x {size[1]} px: "
            f"set dataset.crop to at most {min(size)}, or to auto"
        )
    return int(crop)


def _check_season(key: str, season: int | str, reader: LocationReader) -> None:
    seasons = reader.info.seasons
    if not isinstance(season, int) or not 0 <= season < seasons:
        raise ValueError(f"dataset.{key}={season}: the dataset has {seasons} season(s), 0 to {seasons - 1}")


def _check_classes(wanted: Sequence[str], stored: Sequence[str]) -> None:
    check_class_names(wanted, "dataset.classes")
    check_class_names(stored, "the classes of the dataset")
    if list(wanted[: len(stored)]) != list(stored):
        raise ValueError(
            f"the dataset has {len(stored)} classes ({', '.join(stored)}) and dataset.classes names {len(wanted)} "
            f"({', '.join(wanted)}): name those of the dataset, in its order, in dataset.classes"
        )
