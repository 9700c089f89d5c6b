"""Searches whose runs are a formula, instead of Hydra's launcher; over Hydra, see tests/search/test_command.py."""

import math
import sqlite3
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from optuna import load_study
from optuna.distributions import FloatDistribution

import cromss.search.search
from cromss.config import UserError
from cromss.search.search import RESULTS, OptunaSearch
from cromss.search.space import read_space

SPACE = ["selection.prop=interval(0.0,1.0)", "selection.ramp_epochs=range(1,4)"]
# Two at random, then what they suggest.
SETTINGS = {
    "sampler": OmegaConf.create({"_target_": "optuna.samplers.TPESampler", "seed": 1, "n_startup_trials": 2}),
    "direction": "maximize",
    "n_trials": 6,
    "n_jobs": 1,
    "failures_in_a_row": 3,
    "poll_s": 0.01,
}


class Launcher:
    """Runs that have a formula for a score; notes their settings, and is killed when it comes to a given one."""

    hydra_context, config = SimpleNamespace(config_loader=None), None

    def __init__(self, score=lambda prop, epochs: 1 - (prop - 0.7) ** 2, killed_at=None):
        self.score, self.killed_at, self.asked = score, killed_at, []

    def launch(self, jobs, initial_job_idx):
        return [self._run(*job) for job in jobs]

    def _run(self, shared, prop, epochs):
        self.asked.append((prop, epochs))
        assert shared == "seed=1"
        if len(self.asked) == self.killed_at:
            raise KeyboardInterrupt
        score = self.score(float(prop.partition("=")[2]), int(epochs.partition("=")[2]))
        status = JobStatus.FAILED if isinstance(score, Exception) else JobStatus.COMPLETED
        return JobReturn(status=status, _return_value=score)


@pytest.fixture
def search(tmp_path, monkeypatch):
    """Searches in a folder; of runs that others are at work on there are none."""
    monkeypatch.setattr(cromss.search.search, "plan", lambda *_: [])

    def call(launcher, *, space=SPACE, name="found", **settings):
        study = {"storage": f"sqlite:///{tmp_path}/{name}.db", "study_name": name}
        OptunaSearch(launcher, **SETTINGS | study | settings).run(*read_space({}, [*space, "seed=1"]), tmp_path)

    return call


def trials(folder, name="found"):
    found = load_study(study_name=name, storage=f"sqlite:///{folder}/{name}.db").trials
    return [(trial.params, trial.state.name, trial.value) for trial in found]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_killed_search_does_what_is_left_and_what_it_would_have_done(search, tmp_path, n_jobs):
    whole, first, second, again = Launcher(), Launcher(killed_at=4), Launcher(), Launcher()
    search(whole, name="whole", n_jobs=n_jobs)
    with pytest.raises(KeyboardInterrupt):
        search(first, n_jobs=n_jobs)
    assert [state for _, state, _ in trials(tmp_path)] == ["COMPLETE"] * (4 - n_jobs) + ["RUNNING"] * n_jobs
    search(second, n_jobs=n_jobs)
    assert first.asked[: 4 - n_jobs] + second.asked == whole.asked
    assert len(set(whole.asked)) == 6
    assert trials(tmp_path) == trials(tmp_path, "whole")
    search(again, n_jobs=n_jobs)
    assert again.asked == []
    search(again, n_jobs=n_jobs, n_trials=8)
    assert len(again.asked) == 2


def test_it_finds_the_best_in_either_direction(search, tmp_path):
    def distance(prop, epochs):
        return abs(prop - 0.3)

    search(Launcher(distance), direction="minimize", n_trials=25)
    found = OmegaConf.load(tmp_path / RESULTS)
    assert found.best_value == min(value for *_, value in trials(tmp_path)) < 0.05
    assert found.best_params["selection.prop"] == pytest.approx(0.3, abs=0.05)
    search(Launcher(distance), direction="maximize", name="up")
    assert OmegaConf.load(tmp_path / RESULTS).best_value == max(value for *_, value in trials(tmp_path, "up"))


@pytest.mark.parametrize("bad", [math.nan, math.inf, ValueError("no space left on device"), None])
def test_runs_without_a_score_are_failed_trials(search, tmp_path, caplog, bad):
    launcher = Launcher(lambda prop, epochs: bad if prop < 0.5 else prop)
    search(launcher, n_trials=8, failures_in_a_row=8)
    for params, state, _ in trials(tmp_path):
        assert state == ("FAIL" if params["selection.prop"] < 0.5 else "COMPLETE")
    assert {state for _, state, _ in trials(tmp_path)} == {"FAIL", "COMPLETE"}
    assert str(bad) in caplog.text
    assert len(launcher.asked) == 8


def test_failures_in_a_row_end_the_search_with_their_reason(search, tmp_path):
    launcher = Launcher(lambda prop, epochs: ValueError("no space left on device"))
    with pytest.raises(UserError, match="3 trials failed in a row, the last one with: no space left on device"):
        search(launcher)
    assert len(launcher.asked) == 3


def test_a_search_without_any_score_says_so(search):
    with pytest.raises(UserError, match="All 2 trials failed"):
        search(Launcher(lambda prop, epochs: math.nan), n_trials=2)


def test_settings_that_a_batch_proposes_twice_run_once(search, tmp_path):
    launcher = Launcher()
    search(launcher, space=["selection.prop=0.5,0.6", "selection.ramp_epochs=1,2"], n_trials=8, n_jobs=8)
    assert len(launcher.asked) == len(set(launcher.asked)) <= 4
    assert [state for _, state, _ in trials(tmp_path)] == ["COMPLETE"] * 8


def test_runs_that_outlived_their_search_are_waited_for(search, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        search(Launcher(killed_at=1))
    looks = iter([True, True, False])
    launcher = Launcher()

    def states_of(folders):
        assert folders == [tmp_path / "run"]
        assert launcher.asked == []
        return [SimpleNamespace(is_under_way=next(looks), detail="Slurm job 17 RUNNING")]

    monkeypatch.setattr(cromss.search.search, "plan", lambda *_: [SimpleNamespace(folder=tmp_path / "run")])
    monkeypatch.setattr(cromss.search.search, "states_of", states_of)
    search(launcher)
    assert next(looks, "all looked at") == "all looked at"
    assert len(launcher.asked) == 6


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": ["selection.prop=interval(0.1,0.9)", SPACE[1]]}, "began with selection.prop in FloatDistribution"),
        ({"direction": "minimize"}, "began with hydra.sweeper.direction=maximize, now minimize"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(search, changed, said):
    search(Launcher(), n_trials=1)
    with pytest.raises(UserError, match=said):
        search(Launcher(), **changed)


def test_a_study_of_an_earlier_optuna_is_refused_with_what_brings_it_up_to_date(search, tmp_path):
    search(Launcher(), n_trials=1)
    with sqlite3.connect(tmp_path / "found.db") as database:
        database.execute("update alembic_version set version_num = 'v2.6.0.a'")
    database.close()
    with pytest.raises(UserError, match="`optuna storage upgrade --storage sqlite:///"):
        search(Launcher())


def test_a_trial_that_was_cut_off_while_it_was_proposed_is_a_failed_one(search, tmp_path):
    search(Launcher(), n_trials=1)
    found = load_study(study_name="found", storage=f"sqlite:///{tmp_path}/found.db")
    found.ask({"selection.prop": FloatDistribution(0.0, 1.0)})
    search(Launcher(), n_trials=3)
    assert [state for _, state, _ in trials(tmp_path)] == ["COMPLETE", "FAIL", "COMPLETE"]


def test_two_searches_at_once_are_refused(search, tmp_path):
    lines = (
        "import sys; from pathlib import Path; from cromss.search.study import search_lock",
        f"with search_lock(Path({str(tmp_path)!r})): print('taken', flush=True); sys.stdin.read()",
    )
    command = [sys.executable, "-c", "\n".join(lines)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "taken\n"
        with pytest.raises(UserError, match="hydra.sweeper.n_jobs"):
            search(Launcher())
        other.kill()
    search(Launcher())


def test_the_study_is_a_plain_database(search, tmp_path):
    search(Launcher())
    with sqlite3.connect(tmp_path / "found.db") as database:
        assert database.execute("select count(*) from trials").fetchone() == (6,)
    database.close()
