import numpy as np
import pytest

from cromss.predict.blend import Blender, lay_windows
from cromss.predict.mapping import ahead


def test_windows_are_spread_evenly_and_end_with_the_scene():
    # 10 px in windows of 4 that share at least 1: (10 - 4) / 3 = 2 steps.
    assert lay_windows(10, 4, 1).starts == (0, 3, 6)
    assert lay_windows(11, 4, 1).starts == (0, 2, 5, 7)
    assert lay_windows(4, 4, 1).starts == (0,)
    assert lay_windows(1, 4, 3).starts == (0,)


@pytest.mark.parametrize("size", [1, 3, 32, 33, 100, 257])
@pytest.mark.parametrize(("window", "overlap"), [(32, 0), (32, 8), (32, 28), (64, 16)])
def test_weights_add_up_to_one_at_every_pixel(size, window, overlap):
    axis = lay_windows(size, window, overlap)
    total = np.zeros(max(size, window))
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        total[start : start + window] += weights
    np.testing.assert_allclose(total[:size], 1, atol=1e-6)
    shared = [first + window - second for first, second in zip(axis.starts, axis.starts[1:], strict=False)]
    assert all(pixels >= overlap for pixels in shared)
    assert axis.starts[-1] + window >= size


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 50), (16, 16), (40, 23), (61, 64)])
@pytest.mark.parametrize("overlap", [0, 4, 12])
def test_blended_windows_are_what_adding_them_up_in_memory_gives(tmp_path, height, width, overlap):
    random = np.random.default_rng(0)
    rows, columns = lay_windows(height, 16, overlap), lay_windows(width, 16, overlap)
    expected = np.zeros((3, max(height, 16), max(width, 16)), np.float32)
    found = np.full((3, height, width), np.nan, np.float32)

    def emit(top, left, block):
        assert np.isnan(found[:, top : top + block.shape[1], left : left + block.shape[2]]).all()
        found[:, top : top + block.shape[1], left : left + block.shape[2]] = block

    with Blender(rows, columns, 3, tmp_path / "waiting", emit) as blender:
        for row, top in enumerate(rows.starts):
            for column, left in enumerate(columns.starts):
                logits = random.random((3, 16, 16), np.float32)
                expected[:, top : top + 16, left : left + 16] += logits
                blender.add(row, column, logits)
    np.testing.assert_allclose(found, expected[:, :height, :width], rtol=1e-5)


def test_items_are_made_before_they_are_asked_for_and_come_in_order():
    made = []

    def items():
        for number in range(5):
            made.append(number)
            yield number

    seen = []
    for item in ahead(items(), depth=2):
        seen.append(item)
    assert seen == made == [0, 1, 2, 3, 4]


def test_what_goes_wrong_in_the_other_thread_comes_out_here():
    def items():
        yield 1
        raise ValueError("the file is damaged")

    coming = ahead(items(), depth=2)
    assert next(coming) == 1
    with pytest.raises(ValueError, match="the file is damaged"):
        next(coming)
