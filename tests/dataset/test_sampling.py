import pytest
import torch

from cromss.dataset.sampling import EvalBatchSampler, TrainBatchSampler, split


def training(epoch=0, *, locations=10, seasons=4, season="random", batch_size=4, seed=1, rank=0, world_size=1):
    return TrainBatchSampler(
        torch.arange(locations), seasons, season, batch_size, seed, lambda: epoch, rank, world_size
    )


def test_split_holds_out_a_share_and_loses_nothing():
    train, val = split(200, 0.01, seed=0)
    assert (len(train), len(val)) == (198, 2)
    assert sorted(torch.cat([train, val]).tolist()) == list(range(200))
    assert val.tolist() == sorted(val.tolist())


def test_split_takes_at_least_one_location_and_none_for_zero():
    assert [len(part) for part in split(3, 0.01, seed=0)] == [2, 1]
    assert [len(part) for part in split(3, 0.0, seed=0)] == [3, 0]


def test_split_refuses_to_leave_nothing_to_train_on():
    with pytest.raises(ValueError, match="val_fraction=0.01 of 1 location"):
        split(1, 0.01, seed=0)


def test_an_epoch_depends_on_seed_and_epoch_alone():
    assert list(training(epoch=3)) == list(training(epoch=3))
    assert list(training(epoch=3)) != list(training(epoch=4))
    assert list(training(epoch=3, seed=1)) != list(training(epoch=3, seed=2))


def test_training_visits_no_location_twice_and_drops_only_the_incomplete_batch():
    batches = list(training())
    assert [len(batch) for batch in batches] == [4, 4]
    assert len(batches) == len(training())
    indices = [draw.location for batch in batches for draw in batch]
    assert len(set(indices)) == 8


def test_fewer_locations_than_a_batch_still_train():
    (batch,) = training(locations=3, batch_size=8)
    assert sorted(draw.location for draw in batch) == [0, 1, 2]


def test_seasons_are_drawn_or_fixed():
    drawn = {draw.season for epoch in range(20) for batch in training(epoch) for draw in batch}
    assert drawn == {0, 1, 2, 3}
    assert {draw.season for batch in training(season=2) for draw in batch} == {2}


def test_fixing_the_season_leaves_the_order_as_it_was():
    random_season = [draw.location for batch in training() for draw in batch]
    assert [draw.location for batch in training(season=0) for draw in batch] == random_season


def test_processes_share_an_epoch_without_overlap_in_equally_many_batches():
    parts = [list(training(rank=rank, world_size=3, batch_size=1)) for rank in range(3)]
    assert [len(part) for part in parts] == [3, 3, 3]
    indices = [batch[0].location for part in parts for batch in part]
    assert len(set(indices)) == 9


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
def test_evaluation_counts_every_location_once_however_many_processes(world_size):
    parts = [list(EvalBatchSampler(torch.arange(5), 1, 2, rank, world_size)) for rank in range(world_size)]
    assert len({len(part) for part in parts}) == 1
    draws = [draw for part in parts for batch in part for draw in batch]
    assert sorted(draw.location for draw in draws if not draw.padding) == [0, 1, 2, 3, 4]
    assert {draw.season for draw in draws} == {1}


def test_batches_that_are_trained_are_left_out_once():
    every = list(training(batch_size=2))
    rest = training(batch_size=2)
    rest.skip(2)
    assert list(rest) == every[2:]
    # The epochs after it are whole.
    assert list(rest) == every
    assert len(rest) == len(every)
