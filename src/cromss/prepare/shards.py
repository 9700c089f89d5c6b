"""From any reader of locations to a store of shards: in parallel, in parts, and resumable after a kill."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cromss.dataset.convert import Conversion
from cromss.dataset.reader import LocationReader
from cromss.dataset.shard_folder import (
    Entry,
    Plan,
    all_entries,
    missing_shards,
    read_entries,
    read_plan,
    save_manifest,
    shard_path,
)
from cromss.dataset.store_writer import check_target
from cromss.io.atomic import move_into_place, remove_leftovers
from cromss.prepare.pool import ShardWriter, hold, write_all
from cromss.prepare.raw_files import SPOOL
from cromss.prepare.ssl4eo_s12 import Ssl4eoReader

log = logging.getLogger(__name__)

_MOST_SHOWN = 20
_MOVING = ".moving"
"""A file in a complete store, from just before it replaces another one until that one is removed."""


@dataclass(frozen=True)
class Part:
    """One of several jobs that write one store; it writes the shards whose number modulo `of` is `number`."""

    number: int = 0
    of: int = 1


@dataclass(frozen=True)
class Outcome:
    """The content of a store.

    Attributes:
        counts: Status -> number of locations.
        problems: Locations that are not stored, the first of them.
        folder: Its folder: beside `out` as long as it must not replace the store there.
        unwritten: Number of shards that other jobs have not written yet.
        shards: All shards.
    """

    counts: Mapping[str, int]
    problems: Sequence[Entry]
    folder: Path
    unwritten: int
    shards: int


def prepare(
    reader: LocationReader,
    out: Path,
    quantised: bool,
    compression: Mapping[str, str],
    per_shard: int,
    workers: int,
    part: Part,
    settings: Mapping[str, Any],
    retry: bool,
    overwrite: bool,
    accept_missing: bool,
) -> Outcome:
    """Writes the missing shards of a store, each in a process of its own.

    Its shards depend only on the source, not on the number of workers, jobs or interruptions. A location that
    cannot be read is left out and named in the manifest. Memory grows with the number of workers, not of locations.

    Args:
        reader: The source. Its ``absent``, if any, maps locations that are missing in the source to the reason.
        out: Folder of the store.
        quantised: See `Conversion`.
        compression: See `StoreWriter`.
        per_shard: Locations in a shard.
        workers: Number of processes.
        part: The shards of this job.
        settings: Further settings that determine the content, to notice that they have changed.
        retry: Whether shards with failed or absent locations are written again.
        overwrite: Whether to replace a store at `out` once the new one is complete.
        accept_missing: Whether to replace it even if locations of the source are missing.

    Raises:
        ValueError: `out` is something else, another run writes it, or nothing could be read.
        OSError: The disk is full, or `out` cannot be written. Complete shards are kept, and the same call resumes.
    """
    conversion = Conversion(reader.info, quantised)
    absent = getattr(reader, "absent", {})
    decided = {**settings, "quantise": quantised, "compression": dict(compression), "info": asdict(reader.info)}
    plan = Plan(len(reader), per_shard, {**decided, "first": reader.location_id(0)})
    _check_part(part, plan, overwrite)
    folder = _folder(out, overwrite)
    with ExitStack() as held:
        mine = range(part.number, plan.shards, part.of)
        _begin(folder, plan, overwrite)
        held.enter_context(hold(folder, mine))
        to_do = [shard for shard in mine if _is_pending(folder, shard, retry)]
        if to_do:
            if isinstance(reader, Ssl4eoReader):
                reader.spool(folder, {shard: plan.indices(shard) for shard in to_do}, plan.per_shard)
            for leftover in _leftovers(folder, to_do):
                shutil.rmtree(leftover, ignore_errors=True)
            write_all(ShardWriter(reader, conversion, compression, folder, plan), to_do, workers)
        missing = missing_shards(folder, plan)
        outcome = _outcome(folder, plan, absent, len(missing))
        if not missing:
            _finish(folder, plan, absent, outcome)
            if folder != out and (accept_missing or not outcome.problems):
                (folder / _MOVING).touch()
                try:
                    move_into_place(folder, out)
                finally:
                    _finish_replacement(out)
    return outcome


def _folder(out: Path, overwrite: bool) -> Path:
    """The folder to write to: an old store is kept until the new one is complete."""
    remove_leftovers(out)
    _finish_replacement(out)
    if out.exists() and overwrite:
        if not (out.is_dir() and read_plan(out)):
            check_target(out, overwrite)
        return _successor(out)
    if out.exists() and not (out.is_dir() and (read_plan(out) or not _visible(out))):
        raise ValueError(f"{out} exists: choose another path, or replace it with overwrite=true")
    return out


def _successor(out: Path) -> Path:
    """The folder of a store that will replace the one at `out`."""
    return out.with_name(f".{out.name}.new")


def _finish_replacement(out: Path) -> None:
    """Removes the replaced store if a run was killed between the exchange of the two and the removal."""
    if (out / _MOVING).exists():
        shutil.rmtree(_successor(out), ignore_errors=True)
        (out / _MOVING).unlink()


def _visible(folder: Path) -> list[Path]:
    """The content of a folder except the leftovers of a killed run."""
    return [child for child in folder.iterdir() if not child.name.startswith(".")]


def _check_part(part: Part, plan: Plan, overwrite: bool) -> None:
    if overwrite and part.of > 1:
        raise ValueError("overwrite=true replaces a store as a whole: leave shard out, or choose another path")
    if part.of > plan.shards:
        raise ValueError(
            f"shard={part.number}/{part.of}: the {plan.locations} locations make {plan.shards} shards of "
            f"{plan.per_shard}, which is fewer than jobs: set fewer jobs, or fewer locations_per_shard"
        )


def _begin(folder: Path, plan: Plan, overwrite: bool) -> None:
    """Writes the plan, or compares it with that of an earlier run."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        begun = read_plan(folder)
        if begun is None:
            plan.save(folder)
            begun = read_plan(folder)
    except OSError as error:
        raise OSError(f"cannot write a store to {folder}: {error}. Choose another path") from error
    assert begun is not None
    ours, theirs = plan.described(), begun.described()
    different = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
    if different:
        listed = "\n  ".join(f"{key}: {theirs.get(key)} there, {ours.get(key)} now" for key in different)
        cure = "remove that folder" if overwrite else "replace it with overwrite=true"
        raise ValueError(
            f"{folder} was started from another source or with other settings:\n  {listed}\n"
            f"Resume with those, choose another path, or {cure}"
        )


def _is_pending(folder: Path, shard: int, retry: bool) -> bool:
    entries = read_entries(folder, shard)
    return entries is None or (retry and any(entry.status != "done" for entry in entries))


def _leftovers(folder: Path, shards: Iterable[int]) -> list[Path]:
    """Files that killed writers on any host left of these shards, which this process has locked."""
    return [left for shard in shards for left in folder.glob(f".{shard_path(folder, shard).name}.*-*")]


def _decided(folder: Path, plan: Plan, absent: Mapping[str, str]) -> Iterator[tuple[int | None, Entry]]:
    """Shard and entry of all locations: those of the shards, then those that are missing in the source."""
    yield from all_entries(folder, plan)
    for location_id, reason in absent.items():
        yield None, Entry(location_id, "absent", reason)


def _outcome(folder: Path, plan: Plan, absent: Mapping[str, str], missing: int) -> Outcome:
    counts: Counter[str] = Counter()
    problems: list[Entry] = []
    for _, entry in _decided(folder, plan, absent):
        counts[entry.status] += 1
        if entry.status != "done" and len(problems) < _MOST_SHOWN:
            problems.append(entry)
    return Outcome(dict(counts), problems, folder, missing, plan.shards)


def _finish(folder: Path, plan: Plan, absent: Mapping[str, str], outcome: Outcome) -> None:
    if not outcome.counts.get("done"):
        first = outcome.problems[0]
        raise ValueError(f"no location could be stored. The first, {first.location_id}: {first.reason}")
    save_manifest(folder, _decided(folder, plan, absent))
    shutil.rmtree(folder / SPOOL, ignore_errors=True)
