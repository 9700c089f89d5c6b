import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from cromss.config import UserError
from cromss.search.space import read_space


def test_every_form_of_a_sweep_becomes_a_distribution_and_the_rest_stays_as_it_came():
    arguments = [
        "selection.prop=interval(0.2,0.8)",
        "trainer.optimizer.lr=tag(log,interval(1e-5,1e-2))",
        "selection.ramp_epochs=range(1,9)",
        "loss.consistency_weight=range(0.5,2.0,0.5)",
        "fusion=mid,late",
        "dataset.bands=[1,2]",
        "+note='a, b'",
    ]
    space, shared = read_space({}, arguments)
    assert space == {
        "selection.prop": FloatDistribution(0.2, 0.8),
        "trainer.optimizer.lr": FloatDistribution(1e-5, 1e-2, log=True),
        "selection.ramp_epochs": IntDistribution(1, 9),
        "loss.consistency_weight": FloatDistribution(0.5, 2.0, step=0.5),
        "fusion": CategoricalDistribution(("mid", "late")),
    }
    assert shared == ["dataset.bands=[1,2]", "+note='a, b'"]


def test_the_command_line_wins_over_the_experiment():
    params = {"selection.prop": "interval(0.2, 1.0)", "seed": "1", "selection.ramp_epochs": "range(5, 30)"}
    space, shared = read_space(params, ["selection.prop=0.5", "seed=choice(1,2)"])
    assert space == {"selection.ramp_epochs": IntDistribution(5, 30), "seed": CategoricalDistribution((1, 2))}
    assert shared == ["selection.prop=0.5"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to vary"),
        (["selection.prop=0.5"], "nothing to vary"),
        (["init=glob(s1-*)"], r"init=glob\(s1-\*\) cannot be searched over"),
    ],
)
def test_what_cannot_be_searched_over_is_refused(arguments, said):
    with pytest.raises(UserError, match=said):
        read_space({}, arguments)
