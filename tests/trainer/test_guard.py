import pytest
import torch

from cromss.trainer.guard import FiniteGuard, NonFiniteLogitsError
from cromss.types import Prediction


def predictions(**values):
    return {branch: Prediction(torch.full((1, 3, 2, 2), value)) for branch, value in values.items()}


def test_finite_logits_pass():
    guard = FiniteGuard(every=1)
    guard.watch(predictions(s1=1.0, s2=-1e30), step=0)
    guard.check()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_names_modality_and_step(value):
    guard = FiniteGuard(every=1)
    guard.watch(predictions(s1=0.0, s2=0.0), step=6)
    with pytest.raises(NonFiniteLogitsError, match="modality s2 are not finite at step 7"):
        guard.watch(predictions(s1=0.0, s2=value), step=7)


def test_one_broken_pixel_is_enough_even_where_infinities_would_cancel():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 0, 0, 0], logits[0, 1, 0, 0] = float("inf"), float("-inf")
    with pytest.raises(NonFiniteLogitsError, match="modality s1"):
        FiniteGuard(every=1).watch({"s1": Prediction(logits)}, step=0)


def test_half_precision_sums_do_not_raise_a_false_alarm():
    # 65504 is the largest float16; two of them overflow there.
    logits = torch.full((1, 2, 8, 8), 60000.0, dtype=torch.float16)
    FiniteGuard(every=1).watch({"s1": Prediction(logits)}, step=0)


def test_the_first_step_is_the_one_reported():
    guard = FiniteGuard(every=10)
    with pytest.raises(NonFiniteLogitsError, match="step 3"):
        guard.watch(predictions(s1=float("nan")), step=3)
    # What was noted stays, as on an accelerator, where several steps pass before it is read.
    with pytest.raises(NonFiniteLogitsError, match="step 3"):
        guard.watch(predictions(s1=float("nan")), step=4)
