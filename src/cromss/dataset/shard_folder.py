"""A store of many shards that is written over hours, by many processes: what it is to hold, and what is there.

``plan.json`` says what the store will hold, before the first shard is there. A shard is ``00012.lmdb``, whole, and
after it ``00012.json``, which says of each of its locations whether it is stored and why not. So a folder where a part
is missing is never taken for a smaller data set. Last comes ``manifest.csv``, with one row per location of the source.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast, get_args

from pydantic import Field

from cromss.io.atomic import write_file
from cromss.io.cells import csv_cell
from cromss.io.plain import Limits, NotPlainError, Record, parse, read_file, read_json, shown

PLAN = "plan.json"
MANIFEST = "manifest.csv"
FORMAT = "cromss-shards"
VERSION = 1
Status = Literal["done", "failed", "absent"]
_HEADER = ("id", "status", "shard", "reason")
_LONGEST_TEXT = 4096
_MOST_SHARDS = 10**6
_LARGE = Limits(size=2**30, values=2 * 10**7)
"""Some hundred bytes for each of several million locations."""


class Entry(NamedTuple):
    """What became of one location.

    Attributes:
        location_id: Its name in the source.
        status: ``done``: stored; ``failed``: cannot be read; ``absent``: named, but not in the source.
        reason: Why it is not stored, else empty.
    """

    location_id: str
    status: Status
    reason: str


@dataclass(frozen=True)
class Plan:
    """What a folder of shards will hold.

    Attributes:
        locations: Number of locations of the source.
        per_shard: Number of them in a shard; the last may have fewer.
        settings: All else that decides about content; plain values.
    """

    locations: int
    per_shard: int
    settings: Mapping[str, Any]

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.locations // self.per_shard)

    def indices(self, shard: int) -> range:
        """The positions in the source of a shard's locations."""
        return range(shard * self.per_shard, min((shard + 1) * self.per_shard, self.locations))

    def described(self) -> dict[str, str]:
        """All that two plans for the same store agree in, by name, as text."""
        # Through JSON, as a plan that was read has lists for tuples.
        settings = json.loads(json.dumps(self.settings))
        return {
            **{key: str(value) for key, value in settings.items()},
            "locations": str(self.locations),
            "locations_per_shard": str(self.per_shard),
        }

    def save(self, folder: Path) -> None:
        """Writes it into a folder."""
        content = {"format": FORMAT, "version": VERSION, "locations": self.locations, "per_shard": self.per_shard}
        write_file(folder / PLAN, json.dumps({**content, "settings": self.settings}, indent=1).encode())


class _SavedPlan(Record):
    """What ``plan.json`` holds."""

    format: Literal["cromss-shards"]
    version: Annotated[int, Field(ge=1)]
    locations: Annotated[int, Field(ge=1, le=10**8)]
    per_shard: Annotated[int, Field(ge=1, le=10**8)]
    settings: dict[str, Any]


class _SavedEntries(Record):
    """What the JSON of a shard holds: id, status and reason of each location."""

    locations: list[Annotated[list[str], Field(min_length=3, max_length=3)]]


def read_plan(folder: Path) -> Plan | None:
    """The plan of a folder; None where it has none.

    Raises:
        ValueError: It cannot be read, or is of a newer version.
    """
    file = folder / PLAN
    if not os.path.lexists(file):
        return None
    try:
        saved = parse(_SavedPlan, read_json(read_file(file, _LARGE), _LARGE), _LARGE)
        if saved.version > VERSION:
            raise ValueError(f"it is of version {saved.version}, this cromss reads up to {VERSION}; update cromss")
        plan = Plan(saved.locations, saved.per_shard, saved.settings)
        if plan.shards > _MOST_SHARDS:
            raise NotPlainError(f"it names {plan.shards} shards, more than the {_MOST_SHARDS} that a store can have")
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}): prepare the store again") from error
    return plan


def shard_path(folder: Path, shard: int) -> Path:
    """The store of one shard."""
    return folder / f"{shard:05d}.lmdb"


def save_entries(folder: Path, shard: int, entries: list[Entry]) -> None:
    """Says that a shard is complete, and of what."""
    lines = ",\n ".join(json.dumps([_savable(text) for text in entry]) for entry in entries)
    write_file(folder / f"{shard:05d}.json", f'{{"locations": [\n {lines}\n]}}\n'.encode())


def read_entries(folder: Path, shard: int) -> list[Entry] | None:
    """What became of the locations of a shard; None where it is not complete.

    Raises:
        ValueError: The file is damaged.
    """
    file = folder / f"{shard:05d}.json"
    if not os.path.lexists(file):
        return None
    try:
        saved = parse(_SavedEntries, read_json(read_file(file, _LARGE), _LARGE), _LARGE)
        entries = [_entry(*entry) for entry in saved.locations]
    except (ValueError, OSError) as error:
        raise ValueError(f"{file} cannot be read ({error}): remove it, and the same command writes it again") from error
    stored = any(entry.status == "done" for entry in entries)
    return entries if not stored or (shard_path(folder, shard) / "data.mdb").is_file() else None


def _savable(text: str) -> str:
    """Text as it can be read again: names of files may hold bytes that are not UTF-8, and reasons repeat them."""
    return text.encode("utf-8", "backslashreplace").decode()[:_LONGEST_TEXT]


def _entry(location_id: str, status: str, reason: str) -> Entry:
    if status not in get_args(Status):
        raise NotPlainError(f"{shown(location_id)} has the status {shown(repr(status))}: {', '.join(get_args(Status))}")
    return Entry(location_id, cast("Status", status), reason)


def save_manifest(folder: Path, decided: Iterable[tuple[int | None, Entry]]) -> None:
    """Writes the table of all locations, each with the number of its shard, in a folder."""
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(_HEADER)
    for shard, entry in decided:
        rows.writerow([cell_of(entry.location_id), entry.status, shard, cell_of(entry.reason)])
    write_file(folder / MANIFEST, table.getvalue().encode())


def cell_of(text: str) -> Any:
    """An id or a reason as the table of all locations has it: nothing that a spreadsheet would compute."""
    return csv_cell(_savable(text))


def read_manifest(folder: Path) -> list[Entry]:
    """The table of all locations.

    Raises:
        ValueError: It is no such table.
        OSError: It cannot be read.
    """
    text = read_file(folder / MANIFEST, _LARGE).decode()
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error as error:
        raise NotPlainError(str(error)) from error
    if not rows or tuple(rows[0]) != _HEADER:
        raise NotPlainError(f"its first line is not {','.join(_HEADER)}")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(_HEADER):
            raise NotPlainError(f"row {number} has {len(row)} cells, {len(_HEADER)} are needed")
    return [_entry(location_id, status, reason) for location_id, status, _, reason in rows[1:]]


def missing_shards(folder: Path, plan: Plan) -> list[int]:
    """The shards that are not complete."""
    there = {child.name for child in folder.iterdir()}
    # The list alone shows most of them, where a plan names many more shards than there are.
    return [
        shard for shard in range(plan.shards) if f"{shard:05d}.json" not in there or read_entries(folder, shard) is None
    ]


def all_entries(folder: Path, plan: Plan) -> Iterator[tuple[int, Entry]]:
    """Shard and entry of every location that is decided, in order."""
    for shard in range(plan.shards):
        for entry in read_entries(folder, shard) or []:
            yield shard, entry


def check_complete(folder: Path) -> None:
    """ValueError where shards that the plan of a folder names are missing."""
    plan = read_plan(folder)
    if plan is not None and (missing := missing_shards(folder, plan)):
        named = ", ".join(f"{shard:05d}" for shard in missing[:10])
        more = ", …" if len(missing) > 10 else ""
        raise ValueError(
            f"{folder} is not complete: {len(missing)} of {plan.shards} shards are missing ({named}{more}). "
            "The command of `cromss prepare` that began it resumes"
        )
