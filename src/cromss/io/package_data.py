"""Finds the project's own files, in a checkout or an installed wheel, and their git commit."""

from __future__ import annotations

import subprocess
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


def git_commit() -> str | None:
    """The commit of the code that runs, with ``+changes`` where files differ from it; None outside a checkout."""
    folder = config_dir().parent
    if not (folder / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
            for arguments in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.CalledProcessError):
        # Without git, or in a checkout of another user, which git does not trust.
        return None
    return commit + ("+changes" if changes else "")
