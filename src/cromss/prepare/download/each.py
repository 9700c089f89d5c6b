"""Goes through things to download: skips what is there, and goes on after failures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from tqdm import tqdm

from cromss.prepare.download.manifest import DONE, EMPTY, FAILED, NO_IMAGE, Entry, Manifest, Report
from cromss.prepare.download.retry import redact

Thing = TypeVar("Thing")


class NoImageError(ValueError):
    """There is no image of a tile that is good enough."""


class EmptyTileError(ValueError):
    """A tile has no labelled pixel."""


@dataclass(frozen=True)
class Part(Generic[Thing]):
    """One file that is made of each thing.

    Attributes:
        name: ``s1``, ``s2``, ``osm`` or ``archive``.
        target: Thing -> the file, which exists only when it is complete.
        fetch: Makes the file and tells what of; raises NoImageError, EmptyTileError, ValueError or OSError.
    """

    name: str
    target: Callable[[Thing], Path]
    fetch: Callable[[Thing, Path], str]


def fetch_each(things: Mapping[str, Thing], parts: Iterable[Part[Thing]], manifest_path: Path, again: bool) -> Report:
    """Fetches all parts of all things.

    Args:
        things: Id -> tile or archive.
        parts: In this order; where one cannot be had, those after it are not asked for.
        manifest_path: See `Manifest`.
        again: Whether to ask again for what was empty or had no image.

    Returns:
        What was done and what failed.

    Raises:
        ValueError: The manifest is another kind of file.
        OSError: The manifest cannot be written.
    """
    report = Report(manifest_path)
    ordered = list(parts)
    with Manifest(manifest_path) as manifest:
        for thing_id, thing in tqdm(things.items(), unit="item", disable=None):
            for part in ordered:
                target, known = part.target(thing), manifest.get(thing_id, part.name)
                if target.exists():
                    report.skipped += 1
                    continue
                if known and known.status in (EMPTY, NO_IMAGE) and not again:
                    report.skipped += 1
                    break
                entry = _fetch(thing_id, thing, part, target)
                manifest.add(entry)
                report.add(entry)
                if entry.status != DONE:
                    break
    return report


def _fetch(thing_id: str, thing: Thing, part: Part[Thing], target: Path) -> Entry:
    try:
        return Entry(thing_id, part.name, DONE, part.fetch(thing, target))
    except NoImageError as error:
        return Entry(thing_id, part.name, NO_IMAGE, str(error))
    except EmptyTileError as error:
        return Entry(thing_id, part.name, EMPTY, str(error))
    except (ValueError, OSError) as error:
        return Entry(thing_id, part.name, FAILED, redact(str(error)))
