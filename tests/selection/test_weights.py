"""Weights of pixels: by hand, against a sort, and in the corners."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from cromss.selection import label_weights, prediction_weights


def by_sorting(conf, labels, keep, num_classes, class_balanced):
    """The definition, written out with a sort for every class."""
    weights = torch.zeros_like(conf)
    groups = [labels == c for c in range(num_classes)] if class_balanced else [labels != 255]
    for of_group in groups:
        kept = int(of_group.sum().item() * keep)
        if kept == 0:
            continue
        t = conf[of_group].sort(descending=True).values[kept - 1]
        weights[of_group] = (conf[of_group] / t).clamp(max=1) if t > 0 else 1.0
    return weights


def test_two_classes_by_hand():
    # Class 0 holds 0.8, 0.4, 0.2, 0.1 and keep 0.5 its two largest: t = 0.4, weights 1, 1, 0.5, 0.25.
    # Class 1 holds 0.6, 0.3: floor(2 * 0.5) = 1, t = 0.6, weights 1, 0.5.
    conf = torch.tensor([[[0.8, 0.1, 0.6], [0.4, 0.3, 0.2]]])
    labels = torch.tensor([[[0, 0, 1], [0, 1, 0]]])
    expected = torch.tensor([[[1.0, 0.25, 1.0], [1.0, 0.5, 0.5]]])
    torch.testing.assert_close(label_weights(conf, labels, 0.5, 2), expected)


def test_one_threshold_by_hand():
    # All six together: 0.8 0.6 0.4 | 0.3 0.2 0.1, t = 0.4 is the third.
    conf = torch.tensor([[[0.8, 0.1, 0.6], [0.4, 0.3, 0.2]]])
    labels = torch.tensor([[[0, 0, 1], [0, 1, 0]]])
    expected = torch.tensor([[[1.0, 0.25, 1.0], [1.0, 0.75, 0.5]]])
    torch.testing.assert_close(label_weights(conf, labels, 0.5, 2, class_balanced=False), expected)


@pytest.mark.parametrize("class_balanced", [True, False])
@pytest.mark.parametrize("keep", [0.001, 0.1, 0.5, 0.999])
@pytest.mark.parametrize("spread", [1, 20])
def test_equals_sorting(keep, spread, class_balanced):
    """Confidences over many orders of magnitude, with ties, zeros and ignored pixels; an absent class."""
    generator = torch.Generator().manual_seed(spread)
    conf = torch.rand(3, 31, 37, generator=generator) ** spread
    conf[:, ::5] = conf[:, :1]
    conf[:, ::7, ::2] = 0
    labels = torch.randint(0, 6, conf.shape, generator=generator)
    labels[labels == 4] = 255
    expected = by_sorting(conf, labels, keep, 9, class_balanced)
    assert torch.equal(label_weights(conf, labels, keep, 9, class_balanced), expected)
    assert torch.equal(label_weights(conf, labels.to(torch.uint8), keep, 9, class_balanced), expected)


def test_class_too_small_to_keep_any_pixel_weighs_nothing():
    # floor(1 * 0.5) = 0 for the single pixel of class 1.
    weights = label_weights(torch.tensor([[[0.5, 0.5, 0.9]]]), torch.tensor([[[0, 0, 1]]]), 0.5, 2)
    assert weights.tolist() == [[[1, 1, 0]]]


def test_threshold_zero_counts_fully():
    # Class 0 holds 0.5, 0, 0, 0: the second largest is 0.
    weights = label_weights(torch.tensor([[[0.5, 0.0, 0.0, 0.0]]]), torch.zeros(1, 1, 4, dtype=torch.long), 0.5, 2)
    assert weights.tolist() == [[[1, 1, 1, 1]]]


def test_keep_all_and_keep_none():
    conf, labels = torch.tensor([[[0.2, 0.7, 0.4]]]), torch.tensor([[[0, 1, 255]]])
    assert label_weights(conf, labels, 1, 2).tolist() == [[[1, 1, 0]]]
    torch.testing.assert_close(label_weights(conf, labels, 0, 2), torch.tensor([[[0.2, 0.7, 0.0]]]))


def test_nothing_labelled_weighs_nothing():
    weights = label_weights(torch.rand(1, 4, 4), torch.full((1, 4, 4), 255), 0.5, 3)
    assert weights.tolist() == torch.zeros(1, 4, 4).tolist()


def test_ignored_pixels_move_no_threshold():
    conf, labels = torch.rand(1, 20, 20), torch.randint(0, 3, (1, 20, 20))
    labels[:, 10:] = 255
    whole = label_weights(conf, labels, 0.3, 3)
    cut = label_weights(conf[:, :10], labels[:, :10], 0.3, 3)
    assert torch.equal(whole[:, :10], cut)
    assert whole[:, 10:].sum() == 0


def test_prediction_weights_by_hand():
    # progress 0.25: 0.75 + 0.25 * 0.4 = 0.85.
    conf = torch.tensor([[[0.4]]])
    assert prediction_weights(conf, 0.25).item() == pytest.approx(0.85)
    assert prediction_weights(conf, 0).item() == 1
    assert prediction_weights(conf, 1).item() == pytest.approx(0.4)


def test_share_outside_its_range():
    with pytest.raises(ValueError, match=r"1\.5.*\[0, 1\]"):
        label_weights(torch.rand(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long), 1.5, 3)


def _halves():
    """Name -> confidences and labels of a sample for each of two processes."""
    generator = torch.Generator().manual_seed(0)
    conf = torch.rand(2, 9, 9, generator=generator)
    conf[1] *= 0.5  # alone, the two halves would have very different thresholds
    labels = torch.randint(0, 3, (2, 9, 9), generator=generator)
    hardly, apart = labels.clone(), labels.clone()
    hardly[1, 1:] = 255
    apart[1] = apart[1].clamp(max=1)
    unlabelled = torch.stack([labels[0], torch.full((9, 9), 255)])
    cases = {"usual": labels, "hardly labelled": hardly, "a class apart": apart, "unlabelled": unlabelled}
    return {name: (conf, labels) for name, labels in cases.items()}


def _weigh_half(rank, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    own = slice(rank, rank + 1)
    found = {
        (name, scope): label_weights(conf[own], labels[own], 0.4, 3, scope=scope)
        for name, (conf, labels) in _halves().items()
        for scope in ("global", "batch")
    }
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


def test_processes_share_their_thresholds_or_keep_to_themselves(tmp_path):
    """Two processes with half the batch each weigh like one with all of it; by batch, like one with its half."""
    mp.spawn(_weigh_half, (tmp_path,), nprocs=2)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"{rank}.pt")
        own = slice(rank, rank + 1)
        for name, (conf, labels) in _halves().items():
            assert torch.equal(found[name, "global"], label_weights(conf, labels, 0.4, 3)[own]), name
            assert torch.equal(found[name, "batch"], label_weights(conf[own], labels[own], 0.4, 3)), name
        assert not torch.equal(found["usual", "global"], found["usual", "batch"])


def test_unknown_scope():
    with pytest.raises(ValueError, match="scope=rank.*global, batch"):
        label_weights(torch.rand(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.long), 0.5, 3, scope="rank")
