import numpy as np
import pytest
import torch

from cromss.dataset.bands import BANDS, SUBSETS, Band, band_names, band_positions
from cromss.dataset.scaling import NORMALISATIONS, Scale, quantise, reflectance, scale, standardise
from helpers.golden import golden_arrays


@pytest.fixture(scope="module")
def golden():
    return golden_arrays("normalisation")


@pytest.mark.parametrize("subset", [3, 9, 10, 12, 13])
def test_s2_agrees_with_the_reference(golden, subset):
    bands = band_positions("s2", subset)
    raw = golden["s2"][list(bands)]
    np.testing.assert_array_equal(quantise(raw, "s2", bands), golden[f"s2_uint8_{subset}b"])
    np.testing.assert_allclose(
        standardise(raw, "s2", bands), golden[f"s2_standardised_{subset}b"], atol=1e-5, rtol=1e-4
    )


def test_s1_agrees_with_the_reference(golden):
    np.testing.assert_array_equal(quantise(golden["s1"], "s1"), golden["s1_uint8"])
    np.testing.assert_allclose(standardise(golden["s1"], "s1"), golden["s1_standardised"], atol=1e-5, rtol=1e-4)


def test_reflectance_agrees_with_the_reference(golden):
    np.testing.assert_allclose(reflectance(golden["u8"]), golden["u8_to_reflectance"], atol=1e-5, rtol=1e-4)


def test_quantise_truncates():
    # VV: mean -12.548, std 5.257, so 0 is at -23.0624 and a step is 4 * 5.257 / 255 = 0.082463 dB.
    # Steps 0.99 and 1.99 truncate to 0 and 1 (rounding would give 1 and 2); far outside is clipped.
    low, step = -12.54847273 - 2 * 5.25697717, 4 * 5.25697717 / 255
    vv = np.array([[low - 9, low + 0.99 * step], [low + 1.99 * step, 60.0]])
    image = np.stack([vv, np.full((2, 2), -20.19237134)])
    expected = [[[0, 0], [1, 255]], [[127, 127], [127, 127]]]  # the mean is step 127.5
    np.testing.assert_array_equal(quantise(image, "s1"), np.array(expected, dtype=np.uint8))


def test_quantise_is_exact_for_every_uint16_value():
    raw = np.broadcast_to(np.arange(65536, dtype=np.uint16).reshape(256, 256), (13, 256, 256))
    mean = np.array([band.mean for band in BANDS["s2"]])[:, None, None]
    std = np.array([band.std for band in BANDS["s2"]])[:, None, None]
    low, high = mean - 2 * std, mean + 2 * std
    expected = np.clip((raw - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(quantise(raw, "s2"), expected)


def test_arrays_and_tensors_alike_keep_container_shape_and_input():
    raw = np.random.default_rng(0).integers(0, 9000, (2, 3, 3, 5, 7)).astype(np.uint16)
    before = raw.copy()
    bands = band_positions("s2", 3)
    for function, dtype in ((quantise, torch.uint8), (standardise, torch.float32)):
        array, tensor = function(raw, "s2", bands), function(torch.from_numpy(raw), "s2", bands)
        assert isinstance(array, np.ndarray)
        assert tensor.dtype == dtype
        assert tensor.shape == raw.shape
        np.testing.assert_array_equal(array, tensor.numpy())
    double = torch.full((2, 4, 4), -15.0, dtype=torch.float64)
    quantise(double, "s1")
    assert (double == -15).all(), "float64 input must not be scaled in place"
    np.testing.assert_array_equal(raw, before)


def test_s1_is_clipped_to_percentiles_of_each_image_and_band():
    # 101 values 0..100 in a row: the 1st percentile is exactly 1 and the 99th exactly 99.
    ramp = torch.arange(101.0).reshape(1, 101)
    images = torch.stack([torch.stack([ramp, ramp - 50]), torch.stack([ramp * 2, ramp])])
    values = standardise(images, "s1") * torch.tensor([5.25697717, 5.91150917])[:, None, None]
    values += torch.tensor([-12.54847273, -20.19237134])[:, None, None]
    ranges = torch.stack([values.amin((-2, -1)), values.amax((-2, -1))], dim=-1)
    expected = torch.tensor([[[1.0, 99.0], [-49.0, 49.0]], [[2.0, 198.0], [1.0, 99.0]]])
    torch.testing.assert_close(ranges, expected, atol=1e-4, rtol=1e-5)


def test_scale_means_the_same_for_raw_and_quantised_s2():
    raw = torch.randint(0, 8000, (2, 13, 9, 9), generator=torch.Generator().manual_seed(1))
    quantised = quantise(raw, "s2")
    torch.testing.assert_close(
        scale(raw, "s2", None, False, "quantise"), scale(quantised, "s2", None, True, "quantise"), atol=0, rtol=0
    )
    # A quantisation step is 4 std / 255, i.e. 0.0157 std; in reflectance at most 4 * 1346 / 255 / 1e4 = 0.0022.
    for normalisation, step in (("standardise", 0.0157), ("reflectance", 0.0022)):
        stored_raw = scale(raw, "s2", None, False, normalisation)
        stored_uint8 = scale(quantised, "s2", None, True, normalisation)
        assert stored_raw.dtype == stored_uint8.dtype == torch.float32
        assert ((stored_raw - stored_uint8) >= -1e-5).all()
        assert ((stored_raw - stored_uint8) <= step).all()


def test_scaled_uint8_is_a_share_of_255():
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).expand(2, 1, 3)
    scaled = Scale("quantise", {"s1": (0, 1)}, {"s1": True})({"s1": image})
    torch.testing.assert_close(scaled["s1"], torch.tensor([0.0, 0.2, 1.0]).expand(2, 1, 3))
    assert image.dtype == torch.uint8


VH_ONLY = (Band("VH", 3.75, -8.0, 2.0),)


def test_raw_values_are_scaled_by_the_given_statistics():
    # -12 dB is mean - 2 std and the low end, -4 the high end, -9 is 3 / 8 of the way: 95.6 steps of 255.
    image = torch.tensor([-20.0, -12.0, -9.0, -4.0, 3.0]).reshape(1, 1, 5)
    scaled = Scale("quantise", {"s1": (1,)}, {"s1": False}, {"s1": VH_ONLY})({"s1": image})["s1"]
    torch.testing.assert_close(scaled.flatten() * 255, torch.tensor([0.0, 0, 95, 255, 255]))
    spread = torch.linspace(-12, -4, 101).reshape(1, 1, 101)
    expected = (spread.clamp(-11.92, -4.08) + 8) / 2
    torch.testing.assert_close(standardise(spread, "s1", (1,), VH_ONLY), expected, atol=1e-5, rtol=0)


def test_quantised_values_are_standardised_by_the_given_statistics_in_steps():
    image = torch.tensor([0, 60, 100, 255], dtype=torch.uint8).reshape(1, 1, 4)
    steps = {"s1": (Band("VH", 3.75, 100.0, 40.0),)}
    scaled = Scale("standardise", {"s1": (1,)}, {"s1": True}, steps)({"s1": image})["s1"]
    torch.testing.assert_close(scaled.flatten(), torch.tensor([-2.5, -1.0, 0.0, 3.875]))


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_published_statistics_given_by_hand_change_nothing(normalisation):
    raw = torch.randint(0, 8000, (2, 3, 9, 9), generator=torch.Generator().manual_seed(1))
    bands = band_positions("s2", 3)
    published = [BANDS["s2"][position] for position in bands]
    given = scale(raw, "s2", bands, False, normalisation, published)
    assert torch.equal(given, scale(raw, "s2", bands, False, normalisation))


@pytest.mark.parametrize("name", SUBSETS)
def test_subsets_have_as_many_bands_as_they_say(name):
    positions = band_positions("s2", name)
    assert len(set(positions)) == len(positions) == int(name.split("_")[0])
    assert {"B4", "B3", "B2"} <= set(band_names("s2", name))
    assert band_positions("s1", name) == (0, 1)


def test_band_names_follow_the_published_order():
    assert band_names("s2", 3) == ("B4", "B3", "B2")
    assert band_names("s2", "9") == ("B2", "B3", "B4", "B5", "B6", "B7", "B8", "B11", "B12")
    assert "B10" not in band_names("s2", 12)
    assert [band.name for band in BANDS["s2"]][8:11] == ["B8A", "B9", "B10"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: quantise(np.zeros((13, 4, 4)), "s2", range(9)), r"9 bands of s2 wanted, the image has 13.*B1 B2"),
        (lambda: quantise(np.zeros((4, 4)), "s1"), r"the image is \(4, 4\)"),
        (lambda: quantise(np.zeros((2, 4, 4)), "s3"), "'s3' is unknown: choose one of s1, s2"),
        (lambda: quantise(np.zeros((2, 4, 4), np.uint8), "s1"), "quantised already"),
        (lambda: standardise(np.zeros((2, 4, 4), np.uint8), "s1"), "raw units"),
        (lambda: quantise(np.zeros((1, 4, 4)), "s1", [2]), "no band at position"),
        (lambda: reflectance(np.zeros((2, 4, 4), np.uint8), "s1"), "radar"),
        (lambda: reflectance(np.zeros((13, 4, 4))), "wants uint8"),
        (lambda: band_positions("s2", 7), "bands=7 is no subset.*3, 9, 9_rgb_first, 10, 12, 13"),
        (lambda: Scale("standardise", {"s1": (0, 1)}, {"s1": True}), "quantise=false"),
        (lambda: Scale("reflectance", {"s1": (0, 1)}, {"s1": False}), "radar"),
        (lambda: Scale("quantise", {"s1": (1,)}, {"s1": True}, {"s1": VH_ONLY}), "statistics=store changes nothing"),
        (lambda: quantise(np.zeros((1, 4, 4)), "s1", [0], VH_ONLY), "statistics of VH are given for the bands VV"),
        (lambda: Scale("zscore", {"s2": (0, 1)}, {"s2": False}), "quantise, standardise, reflectance"),
    ],
)
def test_wrong_input_is_named_with_its_cure(call, message):
    with pytest.raises(ValueError, match=message):
        call()
