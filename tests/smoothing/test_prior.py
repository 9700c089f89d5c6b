"""The prior: against the reference, against scipy, and in the corners."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from cromss.smoothing import label_prior
from cromss.smoothing.prior import _prior_of_all, _weigh_seasons
from helpers.golden import golden_arrays

KINDS = ("temporal", "spatial", "spatiotemporal")


def by_scipy(labels, season, kind, num_classes):
    """The definition for one sample ``(T, H, W)``, every class filtered by scipy, two passes for both."""
    one_hot = np.stack([labels == c for c in range(num_classes)], 1).astype(np.float64)
    maps = {"temporal": [one_hot.mean(0)], "spatial": [one_hot[season]]}
    maps["spatiotemporal"] = maps["temporal"] + maps["spatial"]
    filtered = [np.stack([gaussian_filter(c, 3, truncate=4, mode="reflect") for c in m]) for m in maps[kind]]
    return sum(f / f.sum(0) for f in filtered) / len(filtered)


@pytest.mark.parametrize("kind", KINDS)
def test_reference_arrays(kind):
    arrays = golden_arrays("smoothing")
    labels = torch.from_numpy(arrays["labels"])[None].repeat(4, 1, 1, 1)
    prior = label_prior(labels, torch.arange(4), kind, 9)
    for season in range(4):
        expected = arrays["temporal" if kind == "temporal" else f"{kind}_{season}"]
        torch.testing.assert_close(prior[season], torch.from_numpy(expected), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (3, 5, 2), (2, 13, 25), (4, 49, 60), (2, 97, 131)])
def test_equals_scipy_on_any_size(shape, kind):
    """Sizes below the filter's radius mirror several times; sizes around the block length cross block borders."""
    labels = torch.randint(0, 4, (2, *shape), dtype=torch.uint8)
    season = torch.tensor([0, shape[0] - 1])
    prior = label_prior(labels, season, kind, 5)
    assert prior.dtype == torch.float32
    for sample, s, actual in zip(labels.numpy(), season.tolist(), prior, strict=True):
        np.testing.assert_allclose(actual, by_scipy(sample, s, kind, 5), atol=2e-6)


def test_step_edge_by_hand():
    """Two half planes: across the edge the prior is the Gaussian's cumulative sum, at the edge pixel (1 + g0) / 2."""
    labels = torch.zeros(1, 1, 40, 60, dtype=torch.long)
    labels[..., 30:] = 1
    prior = label_prior(labels, torch.zeros(1, dtype=torch.long), "spatial", 2)
    g0 = 1 / np.exp(-0.5 * (np.arange(-12, 13) / 3) ** 2).sum()
    torch.testing.assert_close(prior[0, 1, :, 30], torch.full((40,), (1 + g0) / 2, dtype=torch.float32))
    assert prior[0, 1, :, :18].max() < 1e-6  # more than 12 pixels from the edge: the filter reaches nothing


@pytest.mark.parametrize("kind", KINDS)
def test_accelerators_filter_all_classes_alike(kind):
    labels = torch.randint(0, 4, (3, 2, 30, 55))
    labels[0, :, 5:9] = 255
    season = torch.tensor([0, 1, 1])
    torch.testing.assert_close(
        _prior_of_all(*_weigh_seasons(labels, season, kind), 6), label_prior(labels, season, kind, 6), atol=1e-6, rtol=0
    )


def test_one_class_everywhere_is_certain():
    prior = label_prior(torch.full((1, 2, 20, 20), 3), torch.tensor([1]), "spatiotemporal", 5)
    assert prior[0, 3].min() == 1
    assert prior.sum() == 400


def test_ignored_pixels_take_the_prior_of_their_neighbours():
    # Only class 1 is labelled within reach of the left, nothing within reach of the right.
    labels = torch.full((1, 1, 10, 60), 255)
    labels[..., :5] = 1
    prior = label_prior(labels, torch.tensor([0]), "spatial", 4)
    assert prior[0, 1, :, :17].min() == pytest.approx(1, abs=1e-6)
    torch.testing.assert_close(prior[..., 17:], torch.full((1, 4, 10, 43), 0.25))
    torch.testing.assert_close(prior.sum(1), torch.ones(1, 10, 60))


def test_ignored_pixels_weigh_nothing():
    """Where a season is unlabelled the other seasons alone decide."""
    labels = torch.randint(0, 3, (1, 2, 30, 30))
    labels[:, 1] = 255
    both = label_prior(labels, torch.tensor([0]), "spatiotemporal", 3)
    alone = label_prior(labels[:, :1], torch.tensor([0]), "spatial", 3)
    torch.testing.assert_close(both, alone, atol=1e-6, rtol=0)


def test_float32_under_autocast():
    labels = torch.randint(0, 3, (1, 2, 30, 30), dtype=torch.uint8)
    plain = label_prior(labels, torch.tensor([0]), "spatiotemporal", 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(label_prior(labels, torch.tensor([0]), "spatiotemporal", 3), plain)


def test_wrong_arguments():
    labels = torch.zeros(1, 2, 4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="kind=both.*spatiotemporal, spatial, temporal"):
        label_prior(labels, torch.tensor([0]), "both", 3)
    with pytest.raises(ValueError, match=r"\(2, 4, 4\).*\(B, T, H, W\)"):
        label_prior(labels[0], torch.tensor([0]), "spatial", 3)
