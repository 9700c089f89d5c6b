"""The study of a search: its whole state, in a database."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from filelock import FileLock, Timeout
from optuna.exceptions import OptunaError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from cromss.config import UserError
from cromss.io.own_files import open_own
from cromss.runs.names import SEARCHING
from cromss.search.optimizer_state import check_state
from cromss.search.space import Space

_DAMAGED = (OptunaError, SQLAlchemyError, KeyError, TypeError, AttributeError, AssertionError, IndexError)
"""Errors that Optuna raises for a damaged database."""


def open_study(storage: str, name: str, direction: str, space: Space) -> optuna.Study:
    """Opens a study, or creates it.

    Args:
        storage: URL of its database.
        name: Name of the study there.
        direction: ``"minimize"`` or ``"maximize"`` the score.
        space: The search space.

    Raises:
        UserError: The study that is there is damaged, of an earlier Optuna, or has another direction or space.
    """
    # Optuna's own log lines would bypass the log of the search.
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cure = f"choose another folder (hydra.sweep.dir=…), or give up {storage}"
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, direction=StudyDirection[direction.upper()], load_if_exists=True
        )
    except RuntimeError as error:
        # The database has another layout, such as that of Optuna 2.
        raise UserError(
            f"The study in {storage} was written by another version of Optuna: `optuna storage upgrade --storage "
            f"{storage}` makes it one of Optuna {optuna.__version__} (keep a copy); or {cure}"
        ) from error
    except (*_DAMAGED, ValueError) as error:
        raise UserError(f"The study in {storage} cannot be read ({error}): {cure}") from error
    try:
        before = study.direction.name.lower()
        trials = study.get_trials(deepcopy=False)
        _check_states(trials)
    except (*_DAMAGED, ValueError) as error:
        raise UserError(f"The study in {storage} is damaged ({type(error).__name__}: {error}): {cure}") from error
    if before != direction:
        raise UserError(f"This search began with hydra.sweeper.direction={before}, now {direction}: {cure}")
    for trial in trials:
        for key, distribution in trial.distributions.items():
            if space.get(key) != distribution:
                raise UserError(f"This search began with {key} in {distribution}, now in {space.get(key)}: {cure}")
    return study


def _check_states(trials: list[FrozenTrial]) -> None:
    """Checks what Optuna would unpickle: the state of an optimiser, split over several `system_attrs`.

    Raises:
        ValueError: It holds more than data.
        KeyError: Pieces are missing.
    """
    for trial in trials:
        pieces: dict[str, dict[str, str]] = defaultdict(dict)
        for key, value in trial.system_attrs.items():
            if (found := re.match(r".*?optimizer", key)) is not None:
                pieces[found[0]][key] = value
        for prefix, parts in pieces.items():
            check_state(bytes.fromhex("".join(parts[f"{prefix}:{number}"] for number in range(len(parts)))))


def ended_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have ended, with a score or failed."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))


@contextmanager
def search_lock(folder: Path) -> Iterator[None]:
    """Locks the search of a folder against other processes; a killed process leaves no lock behind.

    Raises:
        UserError: Another process runs this search.
    """
    # This refuses a symbolic link, which the lock would follow.
    open_own(folder / SEARCHING).close()
    try:
        with FileLock(folder / SEARCHING, timeout=0):
            yield
    except Timeout as error:
        raise UserError(
            f"A search is running in {folder}: wait for it or stop it; set hydra.sweeper.n_jobs for more trials at once"
        ) from error
