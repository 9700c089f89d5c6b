import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.scaling import quantise
from cromss.predict.network import TrainedNetwork
from cromss.smoothing import NoSmoothing
from cromss.types import IGNORE_INDEX

S2 = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")


class CountingReader:
    """Pixels tell where they come from: location * 16 + season, plus the band's position."""

    def __init__(self, locations=10, seasons=4, size=40, s2_bands=S2, classes=("a", "b"), has_truth=False):
        self.info = DatasetInfo(
            modalities={"s1": ModalityInfo(("VV", "VH"), "uint8", True), "s2": ModalityInfo(s2_bands, "uint8", True)},
            classes=classes,
            seasons=seasons,
            size=(size, size),
            has_truth=has_truth,
        )
        self.locations = locations

    def __len__(self):
        return self.locations

    def location_id(self, index):
        return str(index)

    def read_images(self, index, season, modality, bands=None, out=None):
        stored = len(self.info.modalities[modality].bands)
        image = np.empty((stored, *self.info.size), np.uint8)
        image[:] = (index * 16 + season + np.arange(stored))[:, None, None]
        image = image if bands is None else image[list(bands)]
        if out is None:
            return image
        out[...] = image
        return out

    def read_labels(self, index):
        seasons = np.arange(self.info.seasons, dtype=np.uint8) % 2
        return np.broadcast_to(seasons[:, None, None], (self.info.seasons, *self.info.size)).copy()

    def read_truth(self, index):
        return 1 - self.read_labels(index)


class SeasonTarget:
    """A target that tells which labels it was made of."""

    def __call__(self, patches, season, labels, move):
        assert patches.shape[1:] == (4, 40, 40), "all seasons of the whole patch, before the crop"
        assert labels.shape[1:] == (32, 32)
        return move(torch.ones(len(labels), 2, 40, 40) * season[:, None, None, None])


def module(reader=None, *, training=True, testing=False, test_reader=None, **changes):
    settings = {
        "modalities": ("s1", "s2"),
        "bands": 13,
        "classes": ("a", "b"),
        "season": "random",
        "eval_season": 0,
        "normalisation": "quantise",
        "statistics": "published",
        "crop": 32,
        "validate": "centre",
        "evaluate": "whole",
        "flip": 0.5,
        "rotate": 0.2,
        "degrees": 90,
        "val_fraction": 0.2,
        "split_seed": 0,
        "train_samples": None,
        "samples_seed": 0,
        "smoothing": NoSmoothing(),
        "batch_size": 4,
        "workers": 0,
        "seed": 1,
    }
    data = LocationDataModule(reader or CountingReader(), test_reader, **(settings | changes))
    data.trainer = SimpleNamespace(
        training=training,
        testing=testing,
        global_rank=0,
        world_size=1,
        fit_loop=SimpleNamespace(epoch_progress=SimpleNamespace(current=SimpleNamespace(processed=0))),
    )
    return data


def first_batch(data):
    raw = next(iter(data.train_dataloader() if data.trainer.training else data.val_dataloader()))
    return raw, data.on_after_batch_transfer(raw, 0)


def test_images_and_labels_are_those_of_the_drawn_season():
    raw, batch = first_batch(module())
    assert batch.images["s1"].shape == (4, 2, 32, 32)
    assert batch.images["s2"].shape == (4, 13, 32, 32)
    assert batch.labels.shape == (4, 32, 32)
    assert batch.labels.dtype == torch.int64
    for i, season in enumerate(raw.season.tolist()):
        assert (batch.labels[i] == season % 2).all()
        pixel = round(float(batch.images["s2"][i, 0, 0, 0]) * 255)
        assert pixel % 16 == season
        assert int(raw.images["s2"][i, 0, 0, 0]) == pixel


@pytest.mark.parametrize(
    ("bands", "positions"), [(3, [3, 2, 1]), ("9_rgb_first", [3, 2, 1, 4, 5, 6, 7, 11, 12]), (13, list(range(13)))]
)
def test_band_subsets_come_in_their_published_order(bands, positions):
    raw, _ = first_batch(module(bands=bands))
    first = raw.images["s2"][:, :1, 0, 0].int()
    assert (raw.images["s2"][:, :, 0, 0].int() - first).tolist() == [[p - positions[0] for p in positions]] * 4


def test_bands_are_found_by_name_whatever_the_stored_order():
    stored = tuple(reversed(S2))
    raw, _ = first_batch(module(CountingReader(s2_bands=stored), bands=3))
    wanted = [stored.index(name) for name in ("B4", "B3", "B2")]
    offsets = raw.images["s2"][0, :, 0, 0].int() - raw.images["s1"][0, 0, 0, 0].int()
    assert offsets.tolist() == wanted


def test_a_missing_band_is_named():
    with pytest.raises(ValueError, match="B10 is missing .*B11, B12"):
        module(CountingReader(s2_bands=tuple(b for b in S2 if b != "B10")))
    module(CountingReader(s2_bands=tuple(b for b in S2 if b != "B10")), bands=12)


def test_validation_is_deterministic_and_of_one_season():
    data = module(training=False, eval_season=3)
    (raw, batch), (_, again) = first_batch(data), first_batch(data)
    assert raw.season.tolist() == [3, 3]
    assert torch.equal(batch.images["s2"], again.images["s2"])
    assert batch.target is batch.labels


def test_validation_crops_the_centre():
    reader = CountingReader()
    marked = reader.read_labels(0)
    marked[:, 4:36, 4:36] = 1
    marked[:, :4], marked[:, 36:], marked[:, :, :4], marked[:, :, 36:] = 0, 0, 0, 0
    reader.read_labels = lambda index: marked.copy()
    _, batch = first_batch(module(reader, training=False))
    assert (batch.labels == 1).all()


def test_the_target_is_made_of_all_seasons_of_the_whole_patch():
    raw, batch = first_batch(module(smoothing=SeasonTarget()))
    assert batch.target.shape == (4, 2, 32, 32)
    assert torch.equal(batch.target[:, 0, 0, 0], raw.season.float())


def test_truth_is_of_the_same_season():
    _, batch = first_batch(module(CountingReader(has_truth=True)))
    assert torch.equal(batch.truth, 1 - batch.labels)


def test_padding_is_ignored_everywhere():
    data = module(CountingReader(has_truth=True), training=False)
    data.trainer.world_size, data.trainer.global_rank = 4, 3
    raw = next(iter(data.val_dataloader()))
    assert (raw.labels == IGNORE_INDEX).all()
    assert (raw.truth == IGNORE_INDEX).all()


def test_fewer_locations_than_processes_are_refused():
    data = module()
    data.trainer.world_size = 9
    with pytest.raises(ValueError, match="8 location.* cannot be shared by 9 processes: lower trainer.devices"):
        data.train_dataloader()


def test_a_batch_can_be_pinned():
    raw, _ = first_batch(module(CountingReader(has_truth=True)))
    # Where torch sees no GPU there is nothing to pin for, and it says so.
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU")
    pinned = raw.pin_memory()
    assert all(image.is_pinned() for image in pinned.images.values())
    assert all(part.is_pinned() for part in (pinned.labels, pinned.season, pinned.truth))
    assert pinned.seeds == raw.seeds


def test_the_same_seed_and_epoch_give_the_same_pixels_and_another_epoch_does_not():
    data = module()
    one, same = first_batch(data)[1], first_batch(data)[1]
    assert torch.equal(one.images["s2"], same.images["s2"])
    data.trainer.fit_loop.epoch_progress.current.processed = 1
    assert not torch.equal(one.images["s2"], first_batch(data)[1].images["s2"])


def test_two_processes_see_the_pixels_that_one_sees_with_batches_twice_as_large():
    def epoch(batch_size, rank=0, world_size=1):
        data = module(smoothing=SeasonTarget(), batch_size=batch_size, rotate=0.5)
        data.trainer.global_rank, data.trainer.world_size = rank, world_size
        return [(raw.season, data.on_after_batch_transfer(raw, 0)) for raw in data.train_dataloader()]

    one, first, second = epoch(4), epoch(2, 0, 2), epoch(2, 1, 2)
    assert len(one) == len(first) == len(second) == 2
    for (season, whole), *shares in zip(one, first, second, strict=True):
        assert len(set(whole.locations)) == 4
        for rank, (own_season, share) in enumerate(shares):
            own = slice(rank, None, 2)
            assert share.locations == whole.locations[own]
            assert torch.equal(own_season, season[own])
            for part in ("labels", "target"):
                assert torch.equal(getattr(share, part), getattr(whole, part)[own])
            for modality, image in share.images.items():
                assert torch.equal(image, whole.images[modality][own])


def test_workers_read_the_same_as_the_process_itself():
    alone, helped = module(), module(workers=2)
    for one, other in zip(alone.train_dataloader(), helped.train_dataloader(), strict=True):
        assert torch.equal(one.images["s2"], other.images["s2"])
        assert one.seeds == other.seeds


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop": 41}, "dataset.crop=41 is larger than the patches of 40 x 40 px"),
        ({"season": 4}, r"dataset.season=4: the dataset has 4 season\(s\), 0 to 3"),
        ({"season": "summer"}, "dataset.season=summer"),
        ({"eval_season": "random"}, "dataset.eval_season=random"),
        ({"classes": ("a",)}, "dataset.classes names 1 class: a segmentation needs 2"),
        ({"classes": ("a", "b", "b")}, "dataset.classes: classes 1 and 2 are both named b"),
        ({"classes": ("b", "a")}, r"2 classes \(a, b\) and dataset.classes names 2 \(b, a\)"),
        ({"normalisation": "standardise"}, "quantise=false"),
        ({"statistics": "store"}, "dataset.statistics=store.* deviation of s1.*statistics=published"),
        ({"statistics": "own"}, "dataset.statistics=own is unknown: choose one of published, store"),
        ({"bands": 7}, "bands=7"),
        ({"val_fraction": 0.96}, "leaves none to train on"),
        ({"train_samples": 9}, "dataset.train_samples=9: there are 8 locations to train on"),
        ({"evaluate": "all"}, r"dataset.evaluate=all .*centre, whole"),
        ({"validate": "all"}, r"dataset.validate=all .*centre, whole"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        module(**changes)


def keeping(reader, mean, std, quantised=True):
    """A reader that keeps statistics: band k of both modalities has the mean `mean` + k."""
    info = reader.info
    modalities = {name: replace(stored, quantised=quantised) for name, stored in info.modalities.items()}
    kept = {
        name: {"mean": [mean + k for k in range(len(stored.bands))], "std": [std] * len(stored.bands)}
        for name, stored in modalities.items()
    }
    reader.info = replace(info, modalities=modalities, statistics=kept)
    return reader


OWN = {"statistics": "store", "normalisation": "standardise", "flip": 0, "rotate": 0}


def test_a_store_s_own_statistics_scale_its_bands_by_name():
    raw, batch = first_batch(module(keeping(CountingReader(s2_bands=S2[::-1]), 10, 4), bands=3, **OWN))
    # B4, B3, B2 stand at 9, 10 and 11 of the reversed order.
    expected = (raw.images["s2"][:, :, 0, 0].float() - torch.tensor([19.0, 20.0, 21.0])) / 4
    torch.testing.assert_close(batch.images["s2"][:, :, 0, 0], expected)
    expected = (raw.images["s1"][:, :, 0, 0].float() - torch.tensor([10.0, 11.0])) / 4
    torch.testing.assert_close(batch.images["s1"][:, :, 0, 0], expected)


def test_the_test_set_is_scaled_by_the_statistics_of_the_training_set():
    data = module(
        keeping(CountingReader(), 10, 4),
        test_reader=keeping(CountingReader(), 99, 9),
        testing=True,
        training=False,
        **OWN,
    )
    raw = next(iter(data.test_dataloader()))
    expected = (raw.images["s1"][:, :, 0, 0].float() - torch.tensor([10.0, 11.0])) / 4
    torch.testing.assert_close(data.on_after_batch_transfer(raw, 0).images["s1"][:, :, 0, 0], expected)
    with pytest.raises(ValueError, match="quantised in one of training and test set"):
        module(keeping(CountingReader(), 10, 4), test_reader=keeping(CountingReader(), 10, 4, quantised=False), **OWN)


def test_a_checkpoint_carries_the_statistics_and_takes_no_others():
    assert module().state_dict() == {}
    saved = json.loads(json.dumps(module(keeping(CountingReader(), 10, 4), **OWN).state_dict()))
    assert saved["s1"] == {"quantised": True, "bands": [["VV", 3.75, 10, 4], ["VH", 3.75, 11, 4]]}
    module(keeping(CountingReader(), 10 + 1e-9, 4), **OWN).load_state_dict(saved)
    with pytest.raises(ValueError, match="another mean and standard deviation than this dataset keeps"):
        module(keeping(CountingReader(), 10.1, 4), **OWN).load_state_dict(saved)
    with pytest.raises(ValueError, match="another mean"):
        module().load_state_dict(saved)


def test_a_band_that_is_the_same_everywhere_cannot_be_scaled_by_its_own_statistics():
    with pytest.raises(ValueError, match="s1 band VV is 10 everywhere"):
        module(keeping(CountingReader(), 10, 0), **OWN)


def test_a_network_scales_scenes_by_the_statistics_it_was_trained_with():
    own = module(keeping(CountingReader(), 10, 4), **OWN).own_statistics
    bands = {"s1": (0, 1)}
    network = TrainedNetwork(lambda images, branches: images, bands, "standardise", own, (), (), None)
    raw = torch.full((1, 2, 4, 4), -15.0)
    steps = quantise(raw, "s1")
    expected = (steps.float() - torch.tensor([10.0, 11.0])[:, None, None]) / 4
    torch.testing.assert_close(network({"s1": steps}, ["s1"])["s1"], expected)
    torch.testing.assert_close(network({"s1": raw}, ["s1"])["s1"], expected)
    own = module(keeping(CountingReader(), 10, 4, quantised=False), **OWN).own_statistics
    with pytest.raises(ValueError, match="give the image in raw units"):
        replace(network, statistics=own)({"s1": steps}, ["s1"])


def test_a_dataset_of_one_modality_says_what_to_do():
    reader = CountingReader()
    del reader.info.modalities["s1"]
    with pytest.raises(ValueError, match="no s1: train on what is there by fusion=single"):
        module(reader)


class UnlabelledReader(CountingReader):
    """The first `unlabelled` locations have no label."""

    def __init__(self, unlabelled, **settings):
        super().__init__(**settings)
        self.unlabelled = unlabelled

    def read_labels(self, index):
        labels = super().read_labels(index)
        return np.full_like(labels, IGNORE_INDEX) if index < self.unlabelled else labels


@pytest.mark.parametrize(("purpose", "changes"), [("train", {}), ("test", {"test_reader": UnlabelledReader(10)})])
def test_a_set_without_a_single_label_is_refused(purpose, changes):
    reader = UnlabelledReader(10) if purpose == "train" else CountingReader()
    with pytest.raises(ValueError, match=rf"none of the \d+ location\(s\) to {purpose} on has a labelled pixel"):
        module(reader, **changes)
    module(UnlabelledReader(7), val_fraction=0)


def test_few_samples_are_part_of_more_and_another_seed_draws_others():
    few, more = module(train_samples=3), module(train_samples=5)
    assert set(few.train_locations.tolist()) < set(more.train_locations.tolist()) <= set(range(10))
    assert set(few.train_locations.tolist()).isdisjoint(few.val_locations.tolist())
    others = [module(train_samples=3, samples_seed=seed).train_locations.tolist() for seed in range(1, 4)]
    assert any(set(drawn) != set(few.train_locations.tolist()) for drawn in others)


def test_the_test_reads_another_source_as_a_whole():
    # 50 px: not the size of the training patches, and no multiple of 32.
    tests = CountingReader(locations=5, size=50)
    data = module(training=False, testing=True, test_reader=tests, evaluate="whole", batch_size=12)
    batches = [data.on_after_batch_transfer(raw, 0) for raw in data.test_dataloader()]
    assert [batch.locations for batch in batches] == [[0, 1, 2], [3, 4]]
    rows, columns = data.test_geometry.inner(50, 50)
    for batch in batches:
        assert batch.labels.shape[1:] == (64, 64)
        assert (batch.labels != IGNORE_INDEX).sum() == len(batch.locations) * 50 * 50
        assert (batch.labels[:, rows, columns] != IGNORE_INDEX).all()


def test_a_test_batch_holds_no_more_pixels_than_a_training_batch():
    # Whole patches of 50 px are tested as 64 px: 4 times the 32 px of a training crop.
    tests = CountingReader(locations=5, size=50)
    sizes = {size: module(test_reader=tests, batch_size=size).test_batch_size for size in (1, 4, 7, 8)}
    assert sizes == {1: 1, 4: 1, 7: 1, 8: 2}
    assert module(test_reader=tests, batch_size=8, evaluate="centre").test_batch_size == 8


class PartlyLabelledReader(CountingReader):
    """Season s has no label in its first s + 1 rows."""

    def read_labels(self, index):
        labels = super().read_labels(index)
        for season in range(len(labels)):
            labels[season, : season + 1] = IGNORE_INDEX
        return labels


@pytest.mark.parametrize(("size", "season"), [(40, 0), (33, 2), (50, 3)])
def test_a_test_scores_each_labelled_pixel_of_its_season_once(size, season):
    tests = PartlyLabelledReader(locations=5, size=size)
    data = module(training=False, testing=True, test_reader=tests, eval_season=season)
    batches = [data.on_after_batch_transfer(raw, 0) for raw in data.test_dataloader()]
    scored = sum(int((batch.labels != IGNORE_INDEX).sum()) for batch in batches)
    assert scored == 5 * size * (size - season - 1) == data.test_pixels.labelled
    assert data.test_pixels.ignored == 5 * size * (season + 1)


def test_a_season_without_a_label_cannot_be_tested():
    tests = CountingReader()
    labels = tests.read_labels(0)
    labels[2] = IGNORE_INDEX
    tests.read_labels = lambda index: labels
    module(test_reader=tests, eval_season=1)
    with pytest.raises(ValueError, match=r"none of the 10 location\(s\) to test on has a labelled pixel in season 2"):
        module(test_reader=tests, eval_season=2)


def test_without_a_test_set_the_validation_split_is_tested():
    data = module(training=False, testing=True, batch_size=8)
    (raw,) = data.test_dataloader()
    assert raw.locations == data.val_locations.tolist()
    with pytest.raises(ValueError, match="nothing to test on: set dataset.test_path"):
        module(val_fraction=0).check_test()


def test_a_class_more_than_the_network_has_is_refused_in_the_test_set_too():
    with pytest.raises(ValueError, match="the dataset has 3 classes"):
        module(test_reader=CountingReader(classes=("a", "b", "c")))
