"""What a run puts into its record when it begins, and when a record answers for a run."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cromss.io.plain import printable
from cromss.io.redact import redact
from cromss.runs.experiment import config_hash, git_commit
from cromss.runs.names import CHECKPOINTS
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


def check_free(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuses a folder that holds what another run has found, as two would be mixed there.

    Args:
        folder: The run's.
        config: Resolved, what is asked for.

    Raises:
        ValueError: The message names the folder and the cure.
    """
    has_checkpoints = any((folder / CHECKPOINTS).glob("*.ckpt"))
    if has_checkpoints and not config["trainer"]["test_only"]:
        return  # a training may resume from them: `find_checkpoint` decides
    record = read_record(folder)
    is_other = record is not None and record.state == "done" and record.identity != identity(config)
    if has_checkpoints or is_other:
        raise ValueError(
            f"{folder} holds another run, whose settings and results this one would overwrite: choose another folder "
            "(hydra.run.dir=FOLDER), or leave hydra.run.dir out, which makes a new one"
        )
