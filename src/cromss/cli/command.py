"""What the command lines share: Hydra composes the settings, and mistakes and Ctrl-C are reported in one sentence."""

from __future__ import annotations

import getpass
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import hydra
from hydra._internal import utils as hydra_utils
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cromss.config.mistakes import UserError, check_given_once, explain
from cromss.config.paths import is_sweep, literal_paths, typed_overrides, with_folder_of_lightning
from cromss.config.program_effects import without_effect
from cromss.config.programs import PROGRAMS
from cromss.config.resolvers import register_resolvers
from cromss.config.settings import find_problems
from cromss.io.package_data import config_dir
from cromss.io.plain import printable
from cromss.io.redact import redact
from cromss.io.signals import EndedBySignal, ended_by_exception
from cromss.io.user_paths import as_path
from cromss.runs.job import rank

Value = TypeVar("Value")

FULL_ERROR = "HYDRA_FULL_ERROR"
"""Environment variable of Hydra: 1 shows every error with its stack trace."""


def run_command(name: str, work: Callable[[Any], None], interrupted: str, sweeps: bool = False) -> None:
    """Composes the settings from the command line, checks them, and does the work.

    Args:
        name: Name of the program, of its file in ``conf/`` with settings and help, and of its model in `PROGRAMS`.
        work: Takes the settings as a plain dict. Its ValueErrors and OSErrors are shown as their message alone.
        interrupted: A sentence on what is left after Ctrl-C, SIGTERM or SIGHUP.
        sweeps: Whether it takes ``-m``.
    """
    register_resolvers()

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name=name)
    def composed(cfg: DictConfig) -> None:
        with show_user_errors(name):
            settings = checked_settings(name, OmegaConf.to_container(cfg, resolve=True))
            if idle := without_effect(name, settings, typed_overrides()):
                raise UserError("\n".join(idle))
            work(settings)

    with command_line(name, f"Interrupted: {interrupted}"):
        if not sweeps and is_sweep(sys.argv[1:]):
            raise UserError(f"-m starts a sweep, and cromss {name} does one thing at a time: leave it out")
        try:
            with ended_by_exception():
                composed()
        except EndedBySignal as end:
            sys.stderr.write(f"\nEnded by {end.name}: {interrupted}\n")
            raise


def checked_settings(name: str, settings: Any) -> Any:
    """Checks the settings of a program, and returns them.

    Args:
        name: Key of `PROGRAMS`.
        settings: Composed, as a plain dict.

    Raises:
        UserError: One sentence for each setting that is missing, unknown, or has a wrong type or range.
    """
    problems = [
        f"{key}=… is missing; `cromss {name} --help` shows examples" if settings.get(key, "") is None else sentence
        for key, sentence in find_problems(PROGRAMS[name], settings)
    ]
    if problems:
        raise UserError("\n".join(problems))
    return settings


def check_exist(paths: Mapping[str, Any]) -> None:
    """Checks that what is to be read exists, before the libraries that read it are loaded.

    Args:
        paths: Key -> path, paths by modality, or what is no path and is left alone, such as null and addresses.

    Raises:
        UserError: One sentence for each that does not exist.
    """
    missing = []
    for key, value in paths.items():
        parts = {f"{key}.{name}": path for name, path in value.items()} if isinstance(value, Mapping) else {key: value}
        for name, path in parts.items():
            # Addresses, and files in archives, are checked by the code that opens them.
            elsewhere = "://" in str(path) or str(path).startswith("/vsi")
            if isinstance(path, str | int) and not elsewhere and not as_path(path).exists():
                missing.append(f"{name}={path} does not exist: give the path of what is to be read")
    if missing:
        raise UserError("\n".join(missing))


def _name_user() -> None:
    """Sets a user name where the system has none, as in a container that runs with a numeric user."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        # The first variable that Python, W&B and torch read.
        os.environ["LOGNAME"] = f"uid-{os.getuid()}"


@contextmanager
def command_line(program: str, interrupted: str) -> Iterator[None]:
    """Changes the command line to what Hydra reads, and shows a mistake in it, or Ctrl-C, as one sentence.

    All other errors are bugs, and are raised with their stack trace.

    Args:
        program: See `cromss.config.programs.settings_of`.
        interrupted: What Ctrl-C leaves behind, a sentence.
    """
    as_hydra_does = hydra_utils.run_and_report
    # Hydra would add lines of its own; without this, its callers below have nothing to catch.
    hydra_utils.run_and_report = as_hydra_does if _full_errors() else _called
    try:
        _name_user()
        # Lightning starts the further processes of a training with keys of its own after those that were typed.
        if not rank():
            check_given_once(sys.argv[1:])
        sys.argv[1:] = literal_paths(with_folder_of_lightning(sys.argv[1:]), program)
        yield
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{interrupted}\n")
        sys.exit(130)
    except (HydraException, *_MISTAKES) as error:
        if _full_errors():
            raise
        _end(explain(error, sys.argv[1:], program))
    finally:
        hydra_utils.run_and_report = as_hydra_does


def _called(func: Callable[[], Value]) -> Value:
    return func()


_MISTAKES = (OmegaConfBaseException, ValueError, OSError)
"""What is shown as its message alone."""


@contextmanager
def show_user_errors(program: str) -> Iterator[None]:
    """Ends a single run with the message of a mistake alone, or with the stack trace of a bug.

    Within a sweep the launcher reports how each run ended, so that the others continue.

    Args:
        program: See `cromss.config.programs.settings_of`.
    """
    try:
        yield
    except Exception as error:
        if _full_errors():
            raise
        is_mistake = isinstance(error, _MISTAKES)
        words = str(error) if is_mistake else ""
        if isinstance(error, OmegaConfBaseException):
            words = explain(error, sys.argv[1:], program)
        if not is_mistake:
            traceback.print_exception(error)
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            if is_mistake:
                raise UserError(words) from error
            raise
        # SystemExit is no Exception: Hydra would add lines of its own to one.
        _end(words)


_LONGEST_LINE = 2000
"""Most characters of a line of a message."""


def _end(message: str) -> NoReturn:
    """Ends the program with a message, without control characters and credentials."""
    lines = printable(redact(message), keep="\n\t").splitlines()
    cut = [line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in lines]
    sys.stderr.write("".join(f"{line}\n" for line in cut))
    sys.exit(1)


def _full_errors() -> bool:
    return os.environ.get(FULL_ERROR) == "1"
