import pytest
import torch

from cromss.weights.bands import (
    bands_of_count,
    branch_bands,
    fit_bands,
    match_bands,
    network_bands,
    source_bands,
)
from cromss.weights.part import Part
from cromss.weights.weights_file import WeightsFile

RGB = ("B4", "B3", "B2")
ALL = branch_bands("s2", 13)


def kernels(*values):
    """One output, 1 x 1 kernels, a number a band."""
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None]


def test_another_order_is_a_permutation():
    fitted, fit = fit_bands(kernels(4, 3, 2), RGB, ("B2", "B3", "B4"))
    assert fitted.flatten().tolist() == [2, 3, 4]
    assert (fit.kept, fit.new, fit.left_out, fit.factor) == (("B2", "B3", "B4"), (), (), 1)


def test_new_bands_get_the_mean_and_all_keep_the_sum():
    # Mean (4 + 3 + 2) / 3 = 3 for B5, B6 and B7, and everything times 3/6: the sum stays 9.
    fitted, fit = fit_bands(kernels(4, 3, 2), RGB, ("B5", "B2", "B3", "B4", "B6", "B7"))
    assert fitted.flatten().tolist() == [1.5, 1, 1.5, 2, 1.5, 1.5]
    assert fitted.sum() == 9
    assert (fit.kept, fit.new, fit.factor) == (("B2", "B3", "B4"), ("B5", "B6", "B7"), 0.5)


def test_bands_that_are_not_seen_are_left_out():
    # B3 alone, times 3/1: an image whose bands are alike gets the answer 9 as before.
    fitted, fit = fit_bands(kernels(4, 3, 2), RGB, ("B3",))
    assert fitted.flatten().tolist() == [9]
    assert fit.left_out == ("B4", "B2")


def test_another_modality_gets_the_mean_locked():
    fitted, fit = fit_bands(kernels(4, 3, 2), RGB, ("VV", "VH"))
    assert fitted.flatten().tolist() == [4.5, 4.5]
    assert fit.kept == ()
    assert str(fit) == "bands fitted: their mean for VV VH, left out B4 B3 B2; all x 1.5"
    assert fit.summary() == {"kept": [], "new": ["VV", "VH"], "left_out": ["B4", "B3", "B2"], "factor": 1.5}


def test_kernels_of_any_size_are_kept_whole():
    original = torch.rand(5, 13, 7, 7)
    fitted, fit = fit_bands(original, ALL, branch_bands("s2", "9_rgb_first"))
    assert fitted.shape == (5, 9, 7, 7)
    assert torch.allclose(fitted[:, 0], original[:, 3] * 13 / 9)
    assert len(fit.left_out) == 4


def test_names_of_a_branch():
    assert branch_bands("s1", 9) == ("VV", "VH")
    assert branch_bands("common", 3) == ("VV", "VH", *RGB)


@pytest.mark.parametrize(
    ("count", "orders", "expected"),
    [
        (2, {}, ("s1", ("VV", "VH"))),
        (3, {}, ("s2", RGB)),
        (12, {}, ("s2", branch_bands("s2", 12))),
        (15, {}, ("common", branch_bands("common", 13))),
        (9, {9: "9_rgb_first"}, ("s2", branch_bands("s2", "9_rgb_first"))),
        (7, {}, None),
    ],
)
def test_bands_are_guessed_by_their_number(count, orders, expected):
    assert bands_of_count(count, orders, ("s1", "s2", "common")) == expected


def test_a_number_that_two_branches_have_is_the_likelier_s():
    assert bands_of_count(12, {}, ("common", "s2")) == ("common", branch_bands("common", 10))


def test_the_file_s_own_names_come_first():
    plain = WeightsFile("file", None, None, {})
    run = WeightsFile(
        "file", None, None, {"state_dict": {}, "epoch": 0, "config": {"dataset": {"bands": "9_rgb_first"}}}
    )
    assert source_bands(plain, "cromss", "s2", 9) == branch_bands("s2", 9)
    assert source_bands(plain, "satlas", "s2", 9) == branch_bands("s2", "9_rgb_first")
    assert source_bands(run, "cromss", "s2", 9) == branch_bands("s2", "9_rgb_first")
    assert source_bands(run, "cromss", "s1", 2) == ("VV", "VH")
    assert source_bands(run, "cromss", "s2", 13) == ALL
    assert source_bands(plain, "cromss", "s2", 7) is None


def test_the_network_s_names():
    assert network_bands("s2", "9_rgb_first", 9) == branch_bands("s2", "9_rgb_first")
    assert network_bands("s2", None, 13) == ALL
    assert network_bands("s2", None, 9) is None
    assert network_bands("s1", None, 2) == ("VV", "VH")
    with pytest.raises(ValueError, match=r"bands=9 are 9 bands of s2 \(B2 .*\), and the network was built for 13"):
        network_bands("s2", 9, 13)


def matched(channels, origin, wanted, subset, adapt_bands):
    """What comes of weights for so many bands in a network for `wanted` ones."""
    first = {"conv1.weight": kernels(*range(channels))}
    encoder = Part("encoder", "", first, "", {"conv1.weight": kernels(*range(wanted))})
    return match_bands(encoder, WeightsFile("file", None, None, {}), origin, "s2", "s2", subset, adapt_bands)


def test_bands_of_unknown_names_cannot_be_fitted():
    with pytest.raises(
        ValueError,
        match=r"needs the names of bands, and those of 9 bands \(s2\) are unknown: name .* bands=9_rgb_first",
    ):
        matched(13, "cromss", 9, None, adapt_bands=True)
    with pytest.raises(ValueError, match=r"those of 7 bands \(s2\) are unknown: no publication has so many"):
        matched(7, "cromss", 13, 13, adapt_bands=True)


def test_unknown_names_pass_where_the_number_fits():
    assert matched(7, "cromss", 7, None, adapt_bands=False) == (None, "")


def test_an_order_that_no_shape_shows_is_noticed():
    assert matched(9, "satlas", 9, "9_rgb_first", adapt_bands=False) == (None, "")
    fit, cause = matched(9, "satlas", 9, 9, adapt_bands=False)
    assert fit is None
    assert "set dataset.bands=9_rgb_first, or backbone.adapt_bands=true" in cause
    fit, cause = matched(9, "satlas", 9, 9, adapt_bands=True)
    assert (fit.factor, fit.new, cause) == (1, (), "")
