"""One program: ``cromss train``, ``prepare``, ``predict``, ``report`` and ``export``."""

from __future__ import annotations

import os
import platform
import sys
from importlib import import_module
from importlib.metadata import version

import cromss
from cromss.cli.help import PROGRAMS, help_of, help_of_all

_COMPLETION = ("-sc", "--shell-completion", "--shell_completion")


def main(program: str | None = None) -> None:
    """Runs a program.

    Args:
        program: Its name, a key of `PROGRAMS`; None takes it from the command line.
    """
    name, arguments = _named(sys.argv[1:]) if program is None else (program, sys.argv[1:])
    if "--version" in (name, *arguments):
        sys.stdout.write(_version())
    elif name in ("", "-h", "--help"):
        sys.stdout.write(help_of_all())
    elif name not in PROGRAMS:
        _end(f"There is no program {name!a}: choose one of {', '.join(PROGRAMS)}, as in `cromss train`")
    elif {"-h", "--help"} & set(arguments):
        try:
            sys.stdout.write(help_of(name, arguments))
        except ValueError as error:
            _end(str(error))
    else:
        sys.argv[1:] = arguments
        import_module(f"cromss.cli.{name}").main()


def _end(message: str) -> None:
    sys.stderr.write(f"{message}\n")
    sys.exit(1)


def _named(arguments: list[str]) -> tuple[str, list[str]]:
    """The program that a command line names, and its arguments."""
    name = arguments[0] if arguments else ""
    if name in _COMPLETION:
        return _completed(arguments)
    # Lightning starts the further processes of a training without the name of the program.
    if name not in PROGRAMS and "LOCAL_RANK" in os.environ:
        return "train", arguments
    return name, arguments[1:]


def _version() -> str:
    from cromss.io.package_data import git_commit

    commit = git_commit()
    parts = [f"cromss {cromss.__version__}", f"torch {version('torch')}", f"Python {platform.python_version()}"]
    return ", ".join([*parts, *([f"commit {commit}"] if commit else [])]) + "\n"


def _completed(arguments: list[str]) -> tuple[str, list[str]]:
    """The program whose settings are to be completed, which the line that is being typed names.

    Hydra's script asks ``cromss -sc query=bash``, with that line in the environment.
    """
    words = os.environ.get("COMP_LINE", "").split(" ")
    if "COMP_LINE" in os.environ and len(words) < 3:
        sys.stdout.write(" ".join(name for name in PROGRAMS if name.startswith(words[-1])) + "\n")
        sys.exit(0)
    if "COMP_LINE" in os.environ and words[1] in PROGRAMS:
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]])
        return words[1], arguments
    return "train", arguments


if __name__ == "__main__":
    main()
