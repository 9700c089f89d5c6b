"""What became of a run: `run.json` in its folder, written when it begins and when it ends."""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cromss.experiment import config_hash, git_commit
from cromss.io.atomic import write_file
from cromss.runs.names import RECORD
from cromss.sweep.job import owner

log = logging.getLogger(__name__)

FORMAT = 1
"""Version of the layout of `run.json`."""


@dataclass(frozen=True)
class RunRecord:
    """What a run says of itself.

    Attributes:
        state: ``"running"`` from its start; then ``"done"``, ``"failed"``, ``"preempted"`` by a scheduler, or
            ``"stopped"`` by Ctrl-C. A killed run leaves ``"running"`` behind.
        name: Of the run, as on W&B.
        overrides: What the command line said.
        choices: Group -> chosen option.
        config_hash: See `cromss.experiment.config_hash`.
        identity: See `identity`.
        epochs: Asked for.
        seed: The run's seed.
        git_commit: Of the code.
        job: Who ran it, see `cromss.sweep.job.owner`.
        host: Where.
        user: Whose it is.
        started: ISO 8601, in UTC; for people to read, nothing is decided by it.
        monitor: The metric that the score is the best value of.
        ended: Like `started`; None before.
        score: What a sweeper is told; None before the end, NaN where nothing was measured.
        error: Last line of the error that it failed with.
    """

    state: str
    name: str
    overrides: Sequence[str]
    choices: Mapping[str, str]
    config_hash: str
    identity: str
    epochs: int
    seed: int
    git_commit: str | None
    job: str
    host: str
    user: str
    started: str
    monitor: str
    ended: str | None = None
    score: float | None = None
    error: str | None = None

    def save(self, folder: Path) -> None:
        """Writes it as a whole; OSError where it cannot be written."""
        write_file(folder / RECORD, json.dumps({"format": FORMAT, **asdict(self)}, indent=1).encode())

    def ended_as(self, state: str, score: float | None = None, error: str | None = None) -> RunRecord:
        """The record of the end; of an error its last line is kept."""
        lines = (error or "").strip().splitlines()
        return replace(self, state=state, ended=_now(), score=score, error=lines[-1].strip() if lines else None)


def begin(
    folder: Path, config: Mapping[str, Any], *, overrides: Sequence[str], choices: Mapping[str, str]
) -> RunRecord:
    """The record of a run that begins now.

    Args:
        folder: The run's.
        config: Resolved.
        overrides: What the command line said.
        choices: Group -> chosen option.
    """
    return RunRecord(
        state="running",
        name=folder.name,
        overrides=list(overrides),
        choices=dict(choices),
        config_hash=config_hash(config),
        identity=identity(config),
        epochs=config["trainer"]["epochs"],
        seed=config["seed"],
        git_commit=git_commit(),
        job=owner(),
        host=platform.node(),
        user=getpass.getuser(),
        started=_now(),
        monitor=config["trainer"]["monitor"],
    )


def identity(config: Mapping[str, Any]) -> str:
    """Sixteen digits, equal where the score of one run answers for the other, however many epochs each has.

    Args:
        config: Resolved.
    """
    trainer = {**config["trainer"], "epochs": None}
    settings = config_hash({**config, "trainer": trainer})
    parts = [settings, config["seed"], trainer["test_only"], trainer["checkpoint"]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def read_record(folder: Path) -> RunRecord | None:
    """The record in a run's folder; None where there is none, or a damaged one, of which a warning tells."""
    path = folder / RECORD
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read (%s): taken for a run that was interrupted", path, error)
        return None
    names = [field.name for field in fields(RunRecord)]
    if not isinstance(found, dict) or found.get("format") != FORMAT or not set(names) <= found.keys():
        log.warning("%s is of another version: taken for a run that was interrupted", path)
        return None
    return RunRecord(**{name: found[name] for name in names})


def finished(folder: Path, config: Mapping[str, Any]) -> RunRecord | None:
    """The record of a run that has done in this folder what is asked for; None where there is something to do.

    Args:
        folder: The run's.
        config: Resolved, what is asked for.
    """
    record = read_record(folder)
    if record is None or record.state != "done" or record.identity != identity(config):
        return None
    return record if record.epochs == config["trainer"]["epochs"] else None


def is_done(folder: Path) -> bool:
    """Whether the run in a folder has ended well."""
    record = read_record(folder)
    return record is not None and record.state == "done"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
