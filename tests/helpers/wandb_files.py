"""Reads the `.wandb` files that offline runs leave: LevelDB's log framing around W&B's records."""

import json
import struct
from dataclasses import dataclass, field
from pathlib import Path

import wandb
from wandb.proto import wandb_internal_pb2 as pb

_HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
_BLOCK = 32 * 1024
_FULL, _FIRST, _LAST = 1, 2, 4


@dataclass
class OfflineRun:
    """What one file says; `exit_code` is None where the run never ended."""

    run: pb.RunRecord = field(default_factory=pb.RunRecord)
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    exit_code: int | None = None
    is_preempting: bool = False


def offline_runs(folder):
    """The runs below a run's folder, oldest first; ends the W&B of this process, which writes on after a run's end."""
    wandb.teardown()
    return [read_offline_run(path) for path in sorted(Path(folder).glob("wandb/offline-run-*/run-*.wandb"))]


def read_offline_run(path):
    """Adds up the records of a file; a tail that was cut off is left out."""
    found = OfflineRun()
    for payload in _payloads(Path(path).read_bytes()):
        record = pb.Record.FromString(payload)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found.run = record.run
            found.config |= _items(record.run.config.update)
        elif kind == "config":
            found.config |= _items(record.config.update)
        elif kind == "summary":
            found.summary |= _items(record.summary.update)
        elif kind == "history":
            found.history.append(_items(record.history.item))
        elif kind == "exit":
            found.exit_code = record.exit.exit_code
        elif kind == "preempting":
            found.is_preempting = True
    return found


def _items(items):
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def _payloads(content):
    assert content.startswith(_HEADER)
    at, pieces = len(_HEADER), []
    while at + 7 <= len(content):
        left = _BLOCK - at % _BLOCK
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        piece = content[at + 7 : at + 7 + length]
        if len(piece) < length:
            return
        at += 7 + length
        pieces = [piece] if kind in (_FULL, _FIRST) else [*pieces, piece]
        if kind in (_FULL, _LAST):
            yield b"".join(pieces)
