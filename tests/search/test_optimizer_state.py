import pickle

import numpy as np
import pytest
from cmaes import CMA
from optuna.samplers import _cmaes

from cromss.config import UserError
from cromss.search.optimizer_state import load_without_code


class Hostile:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (open, (str(self.canary), "w"))


def test_a_study_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.setattr(_cmaes, "pickle", pickle)
    load_without_code()
    for content in (pickle.dumps(Hostile(tmp_path / "canary")), b"", b"\x80\x04cut", b"cposix\nsystem\n."):
        with pytest.raises(UserError, match="cmaes"):
            _cmaes.pickle.loads(content)
    assert not (tmp_path / "canary").exists()
    state = _cmaes.pickle.loads(_cmaes.pickle.dumps(CMA(mean=np.zeros(2), sigma=1.3)))
    assert state.dim == 2
