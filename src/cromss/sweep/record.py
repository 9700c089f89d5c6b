"""What a run puts into its record when it begins, and when a record answers for a run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cromss.experiment import config_hash, git_commit
from cromss.io.plain import printable
from cromss.io.redact import redact
from cromss.runs.record import RunRecord, now, read_record
from cromss.sweep.job import owner, user


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


def identity(config: Mapping[str, Any]) -> str:
    """Sixteen digits, equal where the score of one run answers for the other, however many epochs each has.

    Args:
        config: Resolved.
    """
    trainer = {**config["trainer"], "epochs": None}
    settings = config_hash({**config, "trainer": trainer})
    parts = [settings, config["seed"], trainer["test_only"], trainer["checkpoint"]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


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
