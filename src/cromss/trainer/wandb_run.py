"""The W&B side of a run: online where a key is set, offline where none is, finished in any case."""

from __future__ import annotations

import os
import secrets
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import wandb
from lightning.pytorch.loggers import Logger, WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only


def wandb_logger(mode: str, project: str, folder: Path, config: dict[str, Any]) -> list[Logger]:
    """Makes the logger of a run, named after its folder, which says what differs from the defaults.

    Args:
        mode: ``"auto"``, ``"online"``, ``"offline"`` or ``"disabled"``; auto follows WANDB_MODE where it is set, else
            it is online where there is an API key.
        project: W&B project.
        folder: The run's folder.
        config: The resolved config.

    Returns:
        One logger, or none when disabled.
    """
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE", mode)
    if mode == "disabled":
        return []
    offline = mode == "offline" or (mode == "auto" and not _has_api_key())
    if rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return [WandbLogger(project=project, save_dir=folder, offline=offline)]
    # Not left to the logger, so that no question is asked, nothing is printed and epochs are the axis: a resumed
    # offline run counts its steps anew.
    run = wandb.init(
        project=project,
        name=folder.name,
        dir=folder,
        id=_run_id(folder),
        mode="offline" if offline else "online",
        resume=None if offline else "allow",
        config=config,
        settings=wandb.Settings(silent=True, console="off"),
    )
    run.define_metric("*", step_metric="epoch")
    return [WandbLogger(experiment=run, save_dir=folder)]


def finish_wandb() -> Path | None:
    """Ends this process's W&B run, so that the next one in a sweep is its own.

    Returns:
        Where the run's files lie; None without W&B or on another process than the first.
    """
    if wandb.run is None:
        return None
    folder = Path(wandb.run.dir).parent
    wandb.finish()
    return folder


def _has_api_key() -> bool:
    """Whether W&B finds a key where `wandb login` puts it, or in the environment; nobody is asked for one."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return path.is_file() and netrc(path).authenticators(str(host)) is not None
    except NetrcParseError as error:
        raise ValueError(f"{path} cannot be read ({error}): mend it, or say trainer.wandb=offline") from error


def _run_id(folder: Path) -> str:
    """The same id whenever this run goes on, so that W&B shows one run."""
    path = folder / "wandb-id.txt"
    if not path.exists():
        path.write_text(secrets.token_hex(4))
    return path.read_text()
