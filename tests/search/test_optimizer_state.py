import pickle

import cmaes
import numpy as np
import optuna
import pytest
from optuna.trial import create_trial

from cromss.config import UserError
from cromss.search.optimizer_state import check_state
from cromss.search.study import open_study

SPACE = {
    "selection.prop": optuna.distributions.FloatDistribution(0, 1),
    "lr": optuna.distributions.FloatDistribution(0, 1),
}


class Hostile:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (open, (str(self.canary), "w"))


def test_a_state_is_data(tmp_path):
    for content in (pickle.dumps(Hostile(tmp_path / "canary")), b"", b"\x80\x04cut", b"cposix\nsystem\n."):
        with pytest.raises(ValueError, match="cmaes"):
            check_state(content)
    assert not (tmp_path / "canary").exists()
    check_state(pickle.dumps(cmaes.CMA(mean=np.zeros(2), sigma=1.3)))


def study(folder):
    return open_study(f"sqlite:///{folder}/study.db", "found", "minimize", SPACE)


@pytest.mark.parametrize("key", ["cma:optimizer:0", "sepcma:optimizer:0", "cma:optimizer", "optimizer:1"])
def test_a_study_that_would_run_code_is_refused(tmp_path, key):
    state = pickle.dumps(Hostile(tmp_path / "canary")).hex()
    study(tmp_path).add_trial(create_trial(value=1.0, system_attrs={key: state}))
    with pytest.raises(UserError, match="is damaged"):
        study(tmp_path)
    assert not (tmp_path / "canary").exists()


def test_the_state_that_optuna_itself_writes_is_read(tmp_path):
    began = study(tmp_path)
    began.sampler = optuna.samplers.CmaEsSampler(seed=1)
    for number in range(12):
        trial = began.ask(SPACE)
        began.tell(trial, (trial.params["lr"] - 0.3) ** 2 + number / 100)
    assert any("optimizer" in key for trial in began.trials for key in trial.system_attrs)
    assert len(study(tmp_path).trials) == 12
