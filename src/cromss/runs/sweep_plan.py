"""The runs of a sweep, in the `sweep.json` of its folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cromss.io.atomic import write_file
from cromss.io.plain import Limits, Record, parse, read_file, read_json
from cromss.runs.files import PathText, Text
from cromss.runs.names import SWEEP

FORMAT = 1
"""Version of the layout of `sweep.json`."""

_LIMITS = Limits(size=16 * 2**20, values=500_000, text=2**16)


class PlannedEntry(Record):
    """One run of a sweep.

    Attributes:
        folder: Path relative to the folder of the sweep, or an absolute one.
        overrides: Overrides of the run, without credentials.
    """

    folder: PathText
    overrides: list[Text]


class _Sweep(Record):
    format: int
    runs: Annotated[list[PlannedEntry], Field(min_length=1)]


def planned_runs(folder: Path) -> list[PlannedEntry]:
    """The runs of a sweep.

    Raises:
        ValueError: There is no such list, or it cannot be read.
    """
    path = folder / SWEEP
    again = "the same sweep, started again, writes it anew"
    try:
        found = parse(_Sweep, read_json(read_file(path, _LIMITS), _LIMITS), _LIMITS)
    except FileNotFoundError:
        raise ValueError(f"{folder} holds no {SWEEP}: name the folder of a sweep, as outputs/sweeps/NAME") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): move it away, and {again}") from error
    if found.format != FORMAT:
        raise ValueError(f"{path} is of another version: move it away, and {again}")
    return found.runs


def save_planned(folder: Path, runs: Sequence[PlannedEntry]) -> None:
    """Writes the runs of a sweep; OSError where the file cannot be written."""
    content = {"format": FORMAT, "runs": [run.model_dump() for run in runs]}
    write_file(folder / SWEEP, json.dumps(content, indent=1).encode())
