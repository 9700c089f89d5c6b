"""One program: ``cromss train``, ``prepare``, ``predict``, ``report`` and ``export``."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version

import cromss

PROGRAMS: Mapping[str, str] = {
    "train": "pretrain on noisy labels, fine-tune, test; also sweeps and searches",
    "prepare": "turn raw data into stores, check them, download and export data",
    "predict": "map a scene with a trained network",
    "report": "tables of runs, pages that compare them, the state of a sweep",
    "export": "write an encoder as a file for other programs",
}
"""Name -> what it does, for the help."""

_COMPLETION = ("-sc", "--shell-completion", "--shell_completion")


def main() -> None:
    """Runs the program that the first argument names."""
    name, rest = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if name in _COMPLETION:
        name, rest = _completed(sys.argv[1:])
    elif name not in PROGRAMS and "LOCAL_RANK" in os.environ:
        # Lightning starts the further processes of a training without the name of the program.
        name, rest = "train", sys.argv[1:]
    if name in PROGRAMS:
        sys.argv[1:] = rest
        import_module(f"cromss.cli.{name}").main()
    elif name == "--version":
        sys.stdout.write(_version())
    elif name in ("", "-h", "--help"):
        sys.stdout.write(_help())
    else:
        sys.stderr.write(f"There is no program {name!a}: choose one of {', '.join(PROGRAMS)}, as in `cromss train`\n")
        sys.exit(1)


def _help() -> str:
    lines = "".join(f"  cromss {name:9}{text}\n" for name, text in PROGRAMS.items())
    return (
        f"{cromss.__doc__}\n\nUsage: cromss PROGRAM [key=value ...]\n\n{lines}\n"
        "`cromss PROGRAM --help` shows the settings of a program, with examples; `cromss --version` the versions.\n"
        'Completion with the Tab key, in this shell:  eval "$(cromss -sc install=bash)"   # also zsh, fish\n'
    )


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
