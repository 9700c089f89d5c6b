"""Where the project's own files lie, in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path


def config_dir() -> Path:
    """The folder of the YAML: ``conf`` of the checkout, or the copy that an installed wheel carries.

    ``experiments`` lies beside it.

    Raises:
        FileNotFoundError: Neither is there, so the installation is incomplete.
    """
    here = Path(__file__).resolve()
    candidates = (here.parents[3] / "conf", here.parents[1] / "conf")
    for candidate in candidates:
        if (candidate / "prepare.yaml").is_file():
            return candidate
    raise FileNotFoundError(f"no configuration at {' or '.join(map(str, candidates))}: install cromss again")


def option_files(group: str) -> dict[str, Path]:
    """The options of a group that this project brings along, by name; empty where there is no such group.

    Args:
        group: Such as ``"trainer/optimizer"`` or ``"experiments"``.
    """
    folder = config_dir().parent if group == "experiments" else config_dir()
    return {file.stem: file for file in sorted((folder / group).glob("[!_]*.yaml"))}
