"""Soft labels and the options of the smoothing group."""

import pytest
import torch

from cromss.smoothing import LabelSmoothing, NoSmoothing, UniformSmoothing, label_prior, smooth_labels

LABELS = torch.tensor([[[1, 255]]])
PRIOR = torch.tensor([0.5, 0.3, 0.2, 0.0])[None, :, None, None].repeat(1, 1, 1, 2)


@pytest.mark.parametrize(
    ("prior", "factors", "expected"),
    [
        # 0.8 onehot + 0.15 prior + 0.05 / 4
        (PRIOR, (0.15, 0.05), [0.0875, 0.8575, 0.0425, 0.0125]),
        # 0.9 onehot + 0.1 prior
        (PRIOR, (0.1,), [0.05, 0.93, 0.02, 0.0]),
        # 0.9 onehot + 0.1 / 4
        (None, (0.1,), [0.025, 0.925, 0.025, 0.025]),
        (None, (), [0.0, 1.0, 0.0, 0.0]),
        (PRIOR, (), [0.0, 1.0, 0.0, 0.0]),
    ],
)
def test_mix_by_hand(prior, factors, expected):
    soft = smooth_labels(LABELS, prior, factors, 4)
    assert soft.dtype == torch.float32
    torch.testing.assert_close(soft[0, :, 0, 0], torch.tensor(expected))
    assert soft[0, :, 0, 1].tolist() == [0, 0, 0, 0]  # an unlabelled pixel stays recognisable


@pytest.mark.parametrize("factors", [(-0.1,), (0.7, 0.4), (0.1, 0.1, 0.1)])
def test_factors_out_of_range(factors):
    for make in (lambda: smooth_labels(LABELS, PRIOR, factors, 4), lambda: LabelSmoothing("spatial", factors, 4)):
        with pytest.raises(ValueError, match="at most two numbers >= 0 with a sum <= 1"):
            make()


def test_prior_of_another_crop():
    with pytest.raises(ValueError, match=r"\(1, 4, 1, 2\).*\(1, 4, 1, 1\)"):
        smooth_labels(LABELS[..., :1], PRIOR, (0.1,), 4)


def upper_left(maps):
    """A view of the patches: 8 x 8 px, flipped."""
    return maps[..., :8, :8].flip(-1)


@pytest.mark.parametrize("kind", ["spatiotemporal", "spatial", "temporal"])
def test_the_prior_of_whole_patches_is_mixed_with_what_the_network_sees(kind):
    patches, season = torch.randint(0, 3, (2, 4, 20, 20)), torch.tensor([3, 0])
    labels = upper_left(patches[torch.arange(2), season])
    target = LabelSmoothing(kind, [0.15, 0.05], 3)(patches, season, labels, upper_left)
    prior = upper_left(label_prior(patches, season, kind, 3))
    assert torch.equal(target, smooth_labels(labels, prior, (0.15, 0.05), 3))


def test_uniform_smoothing_needs_no_prior():
    target = UniformSmoothing([0.1], 4)(None, None, LABELS, None)
    assert torch.equal(target, smooth_labels(LABELS, None, (0.1,), 4))
    with pytest.raises(ValueError, match="takes one factor"):
        UniformSmoothing([0.1, 0.1], 4)


def test_no_smoothing_passes_hard_labels():
    assert NoSmoothing()(None, None, LABELS, None) is LABELS


def test_unknown_kind():
    with pytest.raises(ValueError, match=r"smoothing\.kind=both.*spatiotemporal, spatial, temporal"):
        LabelSmoothing("both", [0.1], 4)
