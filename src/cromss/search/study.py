"""The study of a search: all that it remembers, in a database."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import OptunaError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from cromss.config import UserError
from cromss.io.own_files import open_own
from cromss.runs.names import SEARCHING
from cromss.search.optimizer_state import load_without_code
from cromss.search.space import Space

_DAMAGED = (OptunaError, SQLAlchemyError, KeyError, TypeError, AttributeError, AssertionError, IndexError)
"""What Optuna raises of a database whose content is not what it wrote."""


def open_study(storage: str, name: str, direction: str, space: Space) -> optuna.Study:
    """Opens a study, or begins it.

    Args:
        storage: URL of its database.
        name: Its name there.
        direction: ``"minimize"`` or ``"maximize"`` the score.
        space: What it searches in.

    Raises:
        UserError: The study that is there has another direction or space.
    """
    # Optuna's own words would come past the log that the search has.
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    load_without_code()
    cure = f"choose another folder (hydra.sweep.dir=…), or give up {storage}"
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
    except ValueError as error:
        raise UserError(f"This search began with another score ({error}): {cure}") from error
    except _DAMAGED as error:
        raise UserError(f"The study in {storage} cannot be read ({error}): {cure}") from error
    try:
        trials = study.get_trials(deepcopy=False)
    except (*_DAMAGED, ValueError) as error:
        raise UserError(f"The study in {storage} is damaged ({type(error).__name__}: {error}): {cure}") from error
    for trial in trials:
        for key, distribution in trial.distributions.items():
            if space.get(key) != distribution:
                raise UserError(f"This search began with {key} in {distribution}, now in {space.get(key)}: {cure}")
    return study


def told(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have ended, well or not."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from the search of a folder; the system keeps the lock, so a killed one leaves none behind.

    Raises:
        UserError: Another one is at work there.
    """
    with open_own(folder / SEARCHING) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            raise UserError(
                f"A search is at work in {folder}: wait for it or stop it; for more at a time say hydra.sweeper.n_jobs"
            ) from error
        yield
