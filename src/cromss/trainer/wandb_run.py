"""The W&B run of a training: online where a key is set, offline where none is, ended as what it ended as."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning.pytorch.utilities.rank_zero import rank_zero_only

from cromss.io.atomic import write_file
from cromss.io.plain import Limits, NotPlainError, read_file, shown
from cromss.io.redact import redact
from cromss.runs.names import SWEEP, WANDB_ID
from cromss.runs.recording import end_state
from cromss.runs.wandb_names import has_api_key, shortened
from cromss.trainer.loggers import RunInfo
from cromss.trainer.wandb_logger import RunLogger

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A narrower choice than W&B's own, as the id becomes part of a folder's name."""

_NEW_ID = "remove it to begin another run on W&B, or write the id of the run into it"

_open: list[RunLogger] = []
"""The run of this process, as `wandb.run`; none or one."""


def wandb_logger(
    run: RunInfo,
    *,
    mode: str,
    project: str,
    entity: str | None,
    group: str | None,
    job_type: str,
    tags: Sequence[str],
    init_timeout: float,
    finish_timeout: float,
) -> RunLogger | None:
    """Makes the logger of a run, named after its folder, which says what differs from the defaults.

    The config stays nested: the dashboard shows, groups and filters it by ``selection.prop``. Each chosen option is a
    tag, and is in the config under ``choices``.

    Args:
        run: The run.
        mode: ``"auto"``, ``"online"``, ``"offline"`` or ``"disabled"``; auto follows WANDB_MODE where it is set, else
            it is online where there is an API key.
        project: W&B project.
        entity: Team or user; None for the one of the key.
        group: ``"auto"`` for the sweep that the folder belongs to, None for no group, or a name.
        job_type: Kind of run; a test alone is always ``test``.
        tags: Further tags, of 1 to 64 characters.
        init_timeout: Seconds to wait for the server before the run goes offline.
        finish_timeout: Seconds to wait at the end until everything is uploaded.

    Returns:
        The logger; None when disabled, or on another process than the first.

    Raises:
        wandb.Error: A setting that W&B refuses.
    """
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE", mode)
    if mode == "disabled" or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return None
    folder = run.folder
    if group == "auto":
        group = folder.parent.name if (folder.parent / SWEEP).exists() else None
    options = {
        key: option for key, option in run.choices.items() if not key.startswith("hydra/") and option is not None
    }
    arguments = {
        "project": redact(project),
        "entity": entity and redact(entity),
        "group": group and shortened(redact(group)),
        "job_type": "test" if run.config["trainer"]["test_only"] else redact(job_type),
        # The limit is W&B's.
        "tags": [*map(redact, tags), *(f"{key}={option}"[:64] for key, option in options.items() if "/" not in key)],
        "name": shortened(redact(folder.name)),
        "dir": folder,
        "id": _run_id(folder),
        "config": {**run.config, "choices": options},
    }
    online = mode == "online" or (mode == "auto" and has_api_key())
    _open[:] = [RunLogger(online, arguments, init_timeout=init_timeout, finish_timeout=finish_timeout)]
    return _open[0]


def wandb_folder() -> Path | None:
    """Where the files of this process's W&B run lie; None where there is none."""
    return _open[0].folder if _open else None


@contextmanager
def closing_wandb() -> Iterator[None]:
    """Ends this process's W&B run with the context, so that the next one in a sweep is its own."""
    try:
        yield
    except BaseException as error:
        finish_wandb(end_state(error)[0])
        raise
    finish_wandb("done")


def finish_wandb(state: str) -> None:
    """Ends this process's W&B run, if there is one; see `RunLogger.finish`."""
    if _open:
        _open.pop().finish(state)


def _run_id(folder: Path) -> str:
    """The same id whenever this run resumes, so that W&B shows one run."""
    path = folder / WANDB_ID
    try:
        # A line break is of whoever wrote it with an editor.
        found = read_file(path, Limits(size=1024)).decode("ascii", "replace").strip()
    except FileNotFoundError:
        found = secrets.token_hex(4)
        write_file(path, found.encode())
    except NotPlainError as error:
        raise ValueError(f"{path} cannot be read ({error}): {_NEW_ID}") from error
    if not _ID.fullmatch(found):
        raise ValueError(f"{path} holds {shown(repr(found))}, which is no id of a W&B run: {_NEW_ID}")
    return found
