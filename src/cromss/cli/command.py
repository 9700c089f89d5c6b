"""What the command lines share: composed by Hydra, with each mistake and Ctrl-C in one sentence."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import NoneType
from typing import Any, NoReturn, get_args

import hydra
from hydra._internal import utils as hydra_utils
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cromss.config import UserError, check_given_once
from cromss.config.hydra_words import sentence
from cromss.config.paths import PathKey, is_sweep, literal_paths, typed_overrides, with_folder_of_lightning
from cromss.config.program_effects import without_effect
from cromss.config.programs import PROGRAMS
from cromss.config.resolvers import register_resolvers
from cromss.config.settings import did_you_mean, keys_of, problems_of
from cromss.io.package_data import config_dir
from cromss.io.plain import printable
from cromss.io.redact import redact
from cromss.io.signals import EndedBySignal, ended_by_exception
from cromss.sweep.job import rank

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Environment variable of Hydra: 1 shows every error with its stack trace."""


def run_command(
    name: str,
    program: str,
    work: Callable[[Any], None],
    paths: Mapping[str, PathKey],
    interrupted: str,
    sweeps: bool = False,
) -> None:
    """Composes the settings from the command line, checks them, and does the work.

    Args:
        name: Of the file in ``conf/`` that holds all settings and the help, and of its model in `PROGRAMS`.
        program: How it is called, ``cromss.predict``.
        work: Takes the settings as a plain dict. Its ValueErrors and OSErrors are shown as their message alone.
        paths: See `literal_paths`.
        interrupted: What Ctrl-C, SIGTERM or SIGHUP leave behind, a sentence.
        sweeps: Whether it takes ``-m``.
    """
    register_resolvers()

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)
    def composed(cfg: DictConfig) -> None:
        with mistakes_shown():
            try:
                settings = checked_settings(name, program, OmegaConf.to_container(cfg, resolve=True))
                if idle := without_effect(name, settings, typed_overrides()):
                    raise UserError("\n".join(idle))
                work(settings)
            except OmegaConfBaseException as error:
                raise UserError(sentence(error, sys.argv[1:], unknown_key)) from error
            except (ValueError, OSError) as error:
                raise UserError(str(error)) from error

    def unknown_key(key: str) -> str:
        known = [known for known, _, _ in keys_of(PROGRAMS[name])]
        return f"There is no key {key}: {did_you_mean(key, known, f'see `python -m {program} --help`')}"

    with interrupted_as(f"Interrupted: {interrupted}"), one_sentence(unknown_key):
        if not sweeps and is_sweep(sys.argv[1:]):
            raise UserError(f"-m starts a sweep, and {program} does one thing at a time: leave it out")
        prepare_arguments(paths)
        try:
            with ended_by_exception():
                composed()
        except EndedBySignal as end:
            sys.stderr.write(f"\nEnded by {end.name}: {interrupted}\n")
            raise


def checked_settings(name: str, program: str, settings: Any) -> Any:
    """The settings of a program, all of which may have their values.

    Args:
        name: Key of `PROGRAMS`.
        program: How it is called, for the cure.
        settings: Composed, as a plain dict.

    Raises:
        UserError: One sentence for each setting that is missing, unknown, or of another kind or range.
    """
    model = PROGRAMS[name]
    missing = [
        key
        for key, field in model.model_fields.items()
        if key in settings and settings[key] is None and NoneType not in _members(field.annotation)
    ]
    problems = [f"{key}=… is missing; `python -m {program} --help` shows examples" for key in missing]
    problems += [problem for problem in problems_of(model, settings) if problem.partition("=")[0] not in missing]
    if problems:
        raise UserError("\n".join(problems))
    return settings


def _members(annotation: Any) -> tuple[Any, ...]:
    found = get_args(annotation)
    return (*found, *(NoneType for entry in found if entry is None))  # a Literal's None is no type


def prepare_arguments(paths: Mapping[str, PathKey]) -> None:
    """Makes the command line of this process what Hydra is to read.

    Raises:
        UserError: A key is set twice, or a path cannot be taken.
    """
    _name_user()
    # Lightning starts the further processes of a training with keys of its own behind what was typed.
    if not rank():
        check_given_once(sys.argv[1:])
    sys.argv[1:] = literal_paths(with_folder_of_lightning(sys.argv[1:]), paths)


def _name_user() -> None:
    """Gives a name to a user that the system has none for, as of a container that runs with a number for a user."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        # The first variable that Python, W&B and torch look at.
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"


@contextmanager
def interrupted_as(words: str) -> Iterator[None]:
    """Ends the program on Ctrl-C with a sentence."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{words}\n")
        sys.exit(130)


@contextmanager
def one_sentence(unknown_key: Callable[[str], str]) -> Iterator[None]:
    """Shows mistakes in a command line as one sentence, where Hydra has several lines or a stack trace.

    Errors of the work itself are the business of `mistakes_shown`; what is neither is a bug, and shown as Hydra does.

    Args:
        unknown_key: Says what to type instead of a key that does not exist.
    """
    as_hydra_does = hydra_utils.run_and_report

    def report(func: Callable[[], Any]) -> Any:
        try:
            return func()
        except Exception as error:  # noqa: BLE001  # told or raised again, as Hydra does here
            if _full_errors() or (_is_of_the_work(error) and not isinstance(error, UserError)):
                return as_hydra_does(functools.partial(_raise, error))
            _end(sentence(error, sys.argv[1:], unknown_key))

    hydra_utils.run_and_report = report
    try:
        yield
    except (ValueError, HydraException) as error:
        # Of the arguments, before Hydra has a config.
        if _full_errors():
            raise
        _end(sentence(error, sys.argv[1:], unknown_key))
    finally:
        hydra_utils.run_and_report = as_hydra_does


@contextmanager
def mistakes_shown() -> Iterator[None]:
    """Ends a single run with the message of a `UserError` alone; within a sweep the launcher tells it."""
    try:
        yield
    except UserError as error:
        if _full_errors() or HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        # No Exception, as Hydra would add lines of its own.
        _end(str(error))


_LONGEST_LINE = 2000
"""Characters of a line of a message."""


def _end(message: str) -> NoReturn:
    """Ends the program with a message that steers no terminal and shows no credentials."""
    lines = printable(redact(message), keep="\n\t").splitlines()
    cut = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in lines]
    sys.stderr.write("".join(f"{line}\n" for line in cut))
    sys.exit(1)


def _raise(error: Exception) -> NoReturn:
    raise error


def _full_errors() -> bool:
    return os.environ.get(FULL_ERROR) == "1"


def _is_of_the_work(error: Exception) -> bool:
    """Whether an error came out of a run, of this process or another, and not of the reading of the command line."""
    trace = error.__traceback__
    while trace is not None:
        # The context in which all work is done; or what Hydra asks for the result of a run.
        if trace.tb_frame.f_code.co_name in ("return_value", mistakes_shown.__name__):
            return True
        trace = trace.tb_next
    return False
