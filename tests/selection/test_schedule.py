"""The ramps, at their ends and in between."""

import math

import pytest

from cromss.selection import ramp


def test_exponential_ramp():
    assert ramp("exp", 0, 10) == pytest.approx(math.exp(-5))
    assert ramp("exp", 5, 10) == pytest.approx(math.exp(-5 / 4))


def test_linear_ramp():
    assert ramp("linear", 0, 10) == 0
    assert ramp("linear", 4, 10) == pytest.approx(0.4)


def test_no_ramp_is_full_from_the_first_epoch():
    assert ramp("none", 0, 10) == 1


@pytest.mark.parametrize("kind", ["exp", "linear", "none"])
@pytest.mark.parametrize("epoch", [10, 11, 500])
def test_full_from_the_last_epoch_of_the_ramp_on(kind, epoch):
    assert ramp(kind, epoch, 10) == 1


def test_unknown_ramp_names_the_choices():
    with pytest.raises(ValueError, match="'cosine'.*exp, linear, none"):
        ramp("cosine", 0, 10)
