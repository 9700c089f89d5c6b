import numpy as np
import pytest

from cromss.trainer.panels import stretch


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_flat_images_stay_black_or_white(value):
    assert np.allclose(stretch(np.full((1, 3, 8, 8), value)), value)


def test_percentiles_become_black_and_full():
    ramp = np.linspace(0.2, 0.6, 101)[None, None, None].repeat(3, axis=1)
    shown = stretch(ramp)
    assert shown.shape == (1, 1, 101, 3)
    # The 2nd percentile of 101 even steps is the third value, the 98th the third from the end.
    assert np.allclose(shown[0, 0, [0, 2, 50, 98, 100], 0], [0, 0, 0.5, 1, 1])
