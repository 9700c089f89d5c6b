from types import SimpleNamespace

import kornia.geometry.transform
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cromss.dataset.augment import FLIPS, CentreView, RandomGeometry, View, _AtOnce, _OneByOne
from cromss.types import IGNORE_INDEX


class Fixed(RandomGeometry):
    """Views that a test gives."""

    def __init__(self, crop, *views):
        super().__init__(crop, flip=0, rotate=0, degrees=0)
        self.fixed = list(views)

    def views(self, height, width, seeds):
        return self.fixed


def moved_by(geometry, images, labels, seeds=None, truth=None, prior=None):
    """All parts of a batch, moved together."""
    move = geometry(*labels.shape[-2:], range(len(labels)) if seeds is None else seeds, labels.device)
    return SimpleNamespace(
        images={name: move.pixels(image) for name, image in images.items()},
        labels=move.classes(labels),
        truth=None if truth is None else move.classes(truth),
        prior=None if prior is None else move.pixels(prior),
    )


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make_batch(batch=4, height=14, width=12, classes=5, seed=0):
    """Labels, an image whose band 0 equals them, a truth, and a prior that is the labels' one-hot map."""
    labels = torch.randint(0, classes, (batch, height, width), generator=seeded(seed), dtype=torch.uint8)
    image = torch.stack([labels.float(), torch.rand(labels.shape, generator=seeded(seed))], dim=1)
    prior = torch.nn.functional.one_hot(labels.long(), classes).movedim(-1, 1).float()
    return {"s2": image, "s1": labels[:, None].clone()}, labels, labels.flip(0), prior


def test_crop_and_flip_by_hand():
    # Rows 012 / 345 / 678; the crop of 2 at row 1, column 0 is 34 / 67.
    labels = torch.arange(9).reshape(1, 3, 3).repeat(4, 1, 1)
    views = [View(1, 0, flip) for flip in ((), *FLIPS)]
    moved = moved_by(Fixed(2, *views), {"s2": labels[:, None]}, labels)
    expected = torch.tensor([[[3, 4], [6, 7]], [[4, 3], [7, 6]], [[6, 7], [3, 4]], [[7, 6], [4, 3]]])
    assert torch.equal(moved.labels, expected)
    assert torch.equal(moved.images["s2"][:, 0], expected)
    assert moved.truth is None
    assert moved.prior is None


@pytest.mark.parametrize("size", [7, 8, 33])
@pytest.mark.parametrize(("degrees", "quarters"), [(90.0, 1), (-90.0, -1)])
def test_a_quarter_turn_is_rot90(size, degrees, quarters):
    images, labels, truth, prior = make_batch(2, size, size)
    moved = moved_by(Fixed(size, View(0, 0, (), degrees), View(0, 0)), images, labels, None, truth, prior)
    pairs = [(moved.images[m], images[m]) for m in images] + [(moved.prior, prior)]
    pairs += [(moved.labels, labels), (moved.truth, truth)]
    for after, before in pairs:
        assert after.dtype == before.dtype
        torch.testing.assert_close(after[0], torch.rot90(before[0], quarters, (-2, -1)), atol=1e-4, rtol=0)
        assert torch.equal(after[1], before[1]), "the sample beside it stays as it was"


def test_rotation_is_that_of_kornia():
    angles = torch.tensor([37.0, -61.5])
    image = torch.rand(2, 3, 16, 16, generator=seeded())
    labels = torch.randint(0, 9, (2, 16, 16), generator=seeded())
    moved = moved_by(Fixed(16, *(View(0, 0, (), angle) for angle in angles.tolist())), {"s2": image}, labels)
    rotate = kornia.geometry.transform.rotate
    torch.testing.assert_close(moved.images["s2"], rotate(image, angles, padding_mode="reflection"))
    nearest = rotate(labels[:, None].float(), angles, mode="nearest", padding_mode="reflection")
    assert torch.equal(moved.labels, nearest[:, 0].long())


def test_flips_and_crops_keep_image_labels_and_prior_aligned_exactly():
    images, labels, truth, prior = make_batch(batch=64)
    moved = moved_by(RandomGeometry(10, flip=1, rotate=0, degrees=90), images, labels, None, truth, prior)
    assert torch.equal(moved.images["s2"][:, 0], moved.labels.float())
    assert torch.equal(moved.images["s1"][:, 0], moved.labels)
    assert torch.equal(moved.prior.argmax(dim=1), moved.labels)
    assert not torch.equal(moved.labels, moved_by(CentreView(10), images, labels, None, truth, prior).labels)


def test_rotation_keeps_image_labels_and_prior_aligned():
    # Halves of classes 0 and 3: away from the border, interpolated band 0 must equal the nearest label.
    labels = torch.zeros(8, 40, 40, dtype=torch.uint8)
    labels[:, :, 20:] = 3
    prior = torch.nn.functional.one_hot(labels.long(), 4).movedim(-1, 1).float()
    moved = moved_by(
        RandomGeometry(40, flip=0, rotate=1, degrees=90),
        {"s2": labels[:, None].float()},
        labels,
        range(8),
        labels,
        prior,
    )
    assert len({image.numpy().tobytes() for image in moved.labels}) == 8, "every sample has its own angle"
    assert set(moved.labels.unique().tolist()) == {0, 3}
    assert torch.equal(moved.labels, moved.truth)
    assert ((moved.images["s2"][:, 0] - moved.labels).abs() > 1.5 + 1e-3).sum() == 0
    pure = moved.prior.amax(dim=1) > 0.999
    assert pure.float().mean() > 0.9
    assert torch.equal(moved.prior.argmax(dim=1)[pure], moved.labels[pure].long())
    torch.testing.assert_close(moved.images["s2"][:, 0][pure], moved.labels[pure].float(), atol=0.01, rtol=0)
    torch.testing.assert_close(moved.prior.sum(dim=1), torch.ones(8, 40, 40))


def test_ignored_pixels_stay_255_and_no_class_is_invented():
    labels = torch.randint(0, 3, (6, 32, 32), generator=seeded(), dtype=torch.uint8)
    labels[:, 10:20] = 255
    moved = moved_by(RandomGeometry(30, flip=0.5, rotate=1, degrees=90), {}, labels)
    assert set(moved.labels.unique().tolist()) == {0, 1, 2, 255}


def test_turned_integers_are_rounded():
    # A constant 200 and a ramp: uint8 comes back as uint8, within one half of what float gives.
    image = torch.stack([torch.full((20, 20), 200), torch.arange(400).reshape(20, 20) % 256]).to(torch.uint8)[None]
    labels = torch.zeros(1, 20, 20, dtype=torch.uint8)
    geometry = Fixed(20, View(0, 0, (), 33.0))
    whole = moved_by(geometry, {"s2": image}, labels).images["s2"]
    exact = moved_by(geometry, {"s2": image.float()}, labels).images["s2"]
    assert whole.dtype == torch.uint8
    assert (whole[:, 0] == 200).all()
    assert (whole - exact).abs().max() <= 0.5 + 1e-4
    raw = moved_by(geometry, {"s2": image.to(torch.uint16)}, labels).images["s2"]
    assert raw.dtype == torch.uint16
    assert torch.equal(raw.int(), whole.int())


def test_the_seeds_alone_decide():
    images, labels, truth, prior = make_batch(batch=16, height=20, width=18)
    geometry = RandomGeometry(16, flip=0.5, rotate=0.5, degrees=90)
    first, again, other = (
        moved_by(geometry, images, labels, range(seed, seed + 16), truth, prior) for seed in (5, 5, 6)
    )
    assert torch.equal(first.images["s2"], again.images["s2"])
    assert torch.equal(first.prior, again.prior)
    assert not torch.equal(first.images["s2"], other.images["s2"])


def test_a_sample_looks_the_same_in_whatever_batch_it_comes():
    images, labels, truth, prior = make_batch(batch=16, height=20, width=18)
    geometry = RandomGeometry(16, flip=0.5, rotate=0.5, degrees=90)
    whole = moved_by(geometry, images, labels, range(16), truth, prior)
    for rank in (0, 1):
        own = slice(rank, None, 2)
        share = {name: image[own] for name, image in images.items()}
        part = moved_by(geometry, share, labels[own], range(16)[own], truth[own], prior[own])
        assert torch.equal(part.images["s2"], whole.images["s2"][own])
        assert torch.equal(part.images["s1"], whole.images["s1"][own])
        assert torch.equal(part.labels, whole.labels[own])
        assert torch.equal(part.prior, whole.prior[own])


def test_draws_cover_what_they_promise():
    views = RandomGeometry(6, flip=0.5, rotate=0.2, degrees=90).views(9, 8, range(6000))
    assert {view.top for view in views} == {0, 1, 2, 3}
    assert {view.left for view in views} == {0, 1, 2}
    # Binomial: 3000 +- 39 flips, 1000 +- 29 of each kind, 1200 +- 31 rotations; five standard deviations are allowed.
    assert sum(view.flip != () for view in views) == pytest.approx(3000, abs=200)
    for flip in FLIPS:
        assert sum(view.flip == flip for view in views) == pytest.approx(1000, abs=150)
    angles = torch.tensor([view.angle for view in views if view.angle])
    assert len(angles) == pytest.approx(1200, abs=160)
    assert angles.abs().max() <= 90
    assert angles.min() < -85
    assert angles.max() > 85
    assert abs(float(angles.mean())) < 8


def test_probability_0_is_off_and_leaves_the_crops_alone():
    off = RandomGeometry(6, flip=0, rotate=0, degrees=90).views(9, 9, range(100))
    on = RandomGeometry(6, flip=1, rotate=1, degrees=90).views(9, 9, range(100))
    assert all(view == View(view.top, view.left) for view in off)
    assert [view[:2] for view in off] == [view[:2] for view in on]
    assert all(view.flip and view.angle for view in on)


def test_centre_crop_is_the_centre():
    images, labels, truth, prior = make_batch(height=14, width=11)
    moved = moved_by(CentreView(8), images, labels, None, truth, prior)
    assert torch.equal(moved.labels, labels[:, 3:11, 1:9])
    assert torch.equal(moved.prior, prior[:, :, 3:11, 1:9])


def test_no_part_shares_memory_with_its_input():
    images, labels, truth, prior = make_batch(height=8, width=8)
    moved = moved_by(CentreView(8), images, labels, None, truth, prior)
    moved.images["s2"].zero_()
    moved.labels.zero_()
    assert images["s2"].any()
    assert labels.any()


@pytest.mark.parametrize("rotate", [0, 0.5, 1])
def test_accelerators_move_a_whole_batch_alike(rotate):
    images, _, _, prior = make_batch(batch=16, height=33, width=40, classes=7)
    prior[:, 2] = 0  # an absent class
    views = RandomGeometry(32, flip=0.5, rotate=rotate, degrees=90).views(33, 40, range(16))
    one_by_one, at_once = _OneByOne(views, 32), _AtOnce(views, 32, torch.device("cpu"))
    for part in (*images.values(), prior, (255 * prior).to(torch.uint8)):
        for mode in ("bilinear", "nearest"):
            torch.testing.assert_close(at_once.move(part, mode), one_by_one.move(part, mode), atol=1e-6, rtol=0)


@pytest.mark.parametrize("rotate", [0, 1])
def test_an_accelerator_is_never_waited_for(rotate):
    with FakeTensorMode():
        labels = torch.zeros(4, 40, 33, dtype=torch.uint8, device="cuda")
        prior = torch.zeros(4, 5, 40, 33, device="cuda")
        geometry = Fixed(32, *(View(i, 1, flip, 33.0 * rotate) for i, flip in enumerate(((), *FLIPS))))
        moved = moved_by(geometry, {"s2": labels[:, None]}, labels, None, labels, prior)
    assert moved.prior.shape == (4, 5, 32, 32)
    assert moved.images["s2"].dtype == torch.uint8
    assert moved.labels.device.type == "cuda"


def test_a_probability_out_of_range():
    with pytest.raises(ValueError, match=r"flip=1.5 is not in \[0, 1\]"):
        RandomGeometry(8, flip=1.5, rotate=0, degrees=90)


def test_a_whole_patch_is_padded_with_its_border_and_without_labels():
    images, labels, truth, prior = make_batch(batch=2, height=31, width=34)
    moved = moved_by(CentreView(None), images, labels, None, truth, prior)
    assert moved.labels.shape == moved.truth.shape == (2, 32, 64)
    # Of one missing row none goes above; of 30 missing columns 15 go to the left.
    rows, columns = CentreView(None).inner(31, 34)
    assert (rows, columns) == (slice(0, 31), slice(15, 49))
    assert torch.equal(moved.labels[:, rows, columns], labels)
    assert torch.equal(moved.truth[:, rows, columns], truth)
    assert torch.equal(moved.images["s2"][:, :, rows, columns], images["s2"])
    assert torch.equal(moved.prior[:, :, rows, columns], prior)
    assert (moved.labels == IGNORE_INDEX).sum() == 2 * (32 * 64 - 31 * 34)
    assert torch.equal(moved.images["s2"][:, :, :31, 3], images["s2"][:, :, :, 0])
    assert torch.equal(moved.images["s1"][:, :, 31, 20], images["s1"][:, :, 30, 5])


def test_a_whole_patch_that_fits_stays_as_it_is():
    images, labels, _, _ = make_batch(height=32, width=64)
    moved = moved_by(CentreView(None), images, labels)
    assert torch.equal(moved.labels, labels)
    assert torch.equal(moved.images["s2"], images["s2"])
