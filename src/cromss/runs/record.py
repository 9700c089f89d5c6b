"""The record of a run, `run.json`, and whether a finished one makes a new run unnecessary."""

from __future__ import annotations

import json
import logging
import math
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cromss.io.atomic import write_file
from cromss.io.package_data import git_commit
from cromss.io.plain import NotPlainError, Record, printable
from cromss.io.redact import redact
from cromss.runs.config import read_config
from cromss.runs.files import Text, read_json_record
from cromss.runs.identity import config_hash, identity
from cromss.runs.job import owner, user
from cromss.runs.names import CHECKPOINTS, CONFIG, RECORD

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout of `run.json`."""


class RunRecord(Record):
    """The state and the score of a run.

    Attributes:
        state: ``"running"`` from its start; then ``"done"``, ``"failed"``, ``"preempted"`` by a scheduler, or
            ``"stopped"`` by Ctrl-C. A killed run leaves ``"running"`` behind.
        name: Name of the run, as on W&B.
        overrides: Overrides of the command line, without credentials.
        choices: Group -> chosen option.
        config_hash: See `cromss.runs.identity.config_hash`.
        identity: See `cromss.runs.identity.identity`.
        epochs: Epochs that were asked for.
        seed: The run's seed.
        git_commit: Commit of the code.
        job: Job that ran it, see `cromss.runs.job.owner`.
        host: Machine that ran it.
        user: Its user.
        started: ISO 8601, in UTC; only for people to read.
        monitor: The metric that the score is the best value of.
        ended: Like `started`; None before.
        score: The score for a sweeper; None before the end, and where nothing was measured.
        error: Last line of the error that it failed with.
    """

    state: Literal["running", "done", "failed", "preempted", "stopped"]
    name: Text
    overrides: list[Text]
    choices: dict[Text, Text | None]
    config_hash: Text
    identity: Text
    epochs: Annotated[int, Field(ge=0, le=10**9)]
    seed: int
    git_commit: Text | None
    job: Text
    host: Text
    user: Text
    started: Text
    monitor: Text
    ended: Text | None = None
    score: float | None = None
    error: Text | None = None

    def save(self, folder: Path) -> None:
        """Writes it atomically; OSError where it cannot be written."""
        write_file(folder / RECORD, json.dumps({"format": FORMAT, **self.model_dump()}, indent=1).encode())

    def ended_as(self, state: str, score: float | None = None, error: str | None = None) -> RunRecord:
        """The record at the end, with the last line of the error, without credentials."""
        lines = redact(error or "").strip().splitlines()
        last = printable(lines[-1].strip())[:1000] if lines else None
        known = score if score is not None and math.isfinite(score) else None
        return self.model_copy(update={"state": state, "ended": now(), "score": known, "error": last})


def now() -> str:
    """The time in UTC, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_record(path: Path) -> RunRecord:
    """Reads a `run.json`.

    Raises:
        NotPlainError: It is damaged or of another version; the message is the reason alone.
        OSError: It cannot be read.
    """
    return read_json_record(path, RunRecord, FORMAT)


def read_record(folder: Path) -> RunRecord | None:
    """The record in a run's folder; None where there is none, or, with a warning, a damaged one."""
    path = folder / RECORD
    try:
        return load_record(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): taken for a run that was interrupted", path, error)
        return None


def new_record(
    folder: Path, config: Mapping[str, Any], *, overrides: Sequence[str], choices: Mapping[str, str]
) -> RunRecord:
    """The record of a run that begins now.

    Args:
        folder: Folder of the run.
        config: The resolved config.
        overrides: Overrides of the command line.
        choices: Group -> chosen option.
    """
    return RunRecord(
        state="running",
        name=printable(redact(folder.name)),
        overrides=[printable(redact(override)) for override in overrides],
        choices=dict(choices),
        config_hash=config_hash(config),
        identity=identity(config),
        epochs=config["trainer"]["epochs"],
        seed=config["seed"],
        git_commit=git_commit(),
        job=owner(),
        host=platform.node(),
        user=user(),
        started=now(),
        monitor=config["trainer"]["monitor"],
    )


def finished_record(folder: Path, config: Mapping[str, Any]) -> RunRecord | None:
    """The record of a finished run in this folder with the same settings; None where there is something to do.

    Args:
        folder: Folder of the run.
        config: The resolved config that is asked for.
    """
    record = read_record(folder)
    if record is None or record.state != "done" or not _is_same(folder, record, config):
        return None
    return record if record.epochs == config["trainer"]["epochs"] else None


def _is_same(folder: Path, record: RunRecord, config: Mapping[str, Any]) -> bool:
    """Whether a record belongs to a run with the settings that are asked for."""
    asked = identity(config)
    if record.identity == asked:
        return True
    try:
        # An earlier version computed the identity with other key names.
        return identity(read_config(folder / CONFIG)) == asked
    except (OSError, NotPlainError):
        return False


def check_free(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuses a folder that holds the results of another run, as the two would be mixed.

    Args:
        folder: Folder of the run.
        config: The resolved config that is asked for.

    Raises:
        ValueError: The message names the folder and the cure.
    """
    has_checkpoints = any((folder / CHECKPOINTS).glob("*.ckpt"))
    if has_checkpoints and not config["trainer"]["test_only"]:
        return  # a training may resume from them: `find_checkpoint` decides
    record = read_record(folder)
    is_other = record is not None and record.state == "done" and not _is_same(folder, record, config)
    if has_checkpoints or is_other:
        raise ValueError(
            f"{folder} holds another run, whose settings and results this one would overwrite: choose another folder "
            "(hydra.run.dir=FOLDER), or leave hydra.run.dir out, which makes a new one"
        )
