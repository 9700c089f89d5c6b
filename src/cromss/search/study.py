"""The study of a search: all that it remembers, in a database."""

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
"""What Optuna raises for a database whose content is not what it wrote."""


def open_study(storage: str, name: str, direction: str, space: Space) -> optuna.Study:
    """Opens a study, or creates it.

    Args:
        storage: URL of its database.
        name: Its name there.
        direction: ``"minimize"`` or ``"maximize"`` the score.
        space: What it searches in.

    Raises:
        UserError: The study that is there is damaged, of an earlier Optuna, or has another direction or space.
    """
    # Optuna's own words would come past the log that the search has.
    optuna.logging.disable_default_handler()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cure = f"choose another folder (hydra.sweep.dir=…), or give up {storage}"
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, direction=StudyDirection[direction.upper()], load_if_exists=True
        )
    except RuntimeError as error:
        # Of another layout, as of Optuna 2.
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
    """Looks at what Optuna would unpickle: the state of an optimiser, in pieces below `system_attrs`.

    Raises:
        ValueError: It is more than data.
        KeyError: Pieces are missing.
    """
    for trial in trials:
        pieces: dict[str, dict[str, str]] = defaultdict(dict)
        for key, value in trial.system_attrs.items():
            if (found := re.match(r".*?optimizer", key)) is not None:
                pieces[found[0]][key] = value
        for prefix, parts in pieces.items():
            check_state(bytes.fromhex("".join(parts[f"{prefix}:{number}"] for number in range(len(parts)))))


def told(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that have ended, well or not."""
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.FAIL))


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keeps other processes from the search of a folder; the system keeps the lock, so a killed one leaves none behind.

    Raises:
        UserError: Another one is at work there.
    """
    # Refuses a link, which the lock would follow.
    open_own(folder / SEARCHING).close()
    try:
        with FileLock(folder / SEARCHING, timeout=0):
            yield
    except Timeout as error:
        raise UserError(
            f"A search is at work in {folder}: wait for it or stop it; set hydra.sweeper.n_jobs for more trials at once"
        ) from error
