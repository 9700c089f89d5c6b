"""Downloads all items, and keeps a table of the result of each: ``download.csv``.

Existing files are skipped, and a failure does not end the run. The table gets a row as soon as a result is known.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from tqdm import tqdm

from cromss.io.atomic import write_file
from cromss.io.cells import csv_cell, open_csv
from cromss.io.plain import listed
from cromss.prepare.download.retry import redact

Item = TypeVar("Item")
DONE, EMPTY, NO_IMAGE, FAILED = "done", "empty", "no image", "failed"
_HEADER = ("id", "part", "status", "detail")
_MOST_MESSAGES = 50


class NoImageError(ValueError):
    """There is no image of a tile that is good enough."""


class EmptyTileError(ValueError):
    """A tile has no labelled pixel."""


@dataclass(frozen=True)
class Part(Generic[Item]):
    """One file that is made of each item.

    Attributes:
        name: ``s1``, ``s2``, ``osm`` or ``archive``.
        target: Item -> the file, which exists only when it is complete.
        fetch: Makes the file and returns its source; raises NoImageError, EmptyTileError, ValueError or OSError.
    """

    name: str
    target: Callable[[Item], Path]
    fetch: Callable[[Item, Path], str]


class Entry(NamedTuple):
    """The result of one part of an item.

    Attributes:
        id: Id of the tile, or name of the archive.
        part: ``s1``, ``s2``, ``osm`` or ``archive``.
        status: ``done``; ``empty``: without a labelled pixel; ``no image``: there is none that is good enough;
            ``failed``.
        detail: The images used, or the reason.
    """

    id: str
    part: str
    status: str
    detail: str


class Manifest:
    """The table, open for more rows. Only the last row of each part of an item counts.

    Args:
        path: The CSV; its folder is created if it is missing.

    Raises:
        ValueError: It exists and is another kind of file.
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._entries = _read(path)
        self._path = path
        # A killed run may have left half a row, which is not continued.
        self._write()
        self._file = path.open("a", newline="", encoding="utf-8")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._write()

    def get(self, item_id: str, part: str) -> Entry | None:
        """The last entry for a part of an item."""
        return self._entries.get((item_id, part))

    def add(self, entry: Entry) -> None:
        """Adds a row, and writes it to the disk."""
        self._entries[entry.id, entry.part] = entry
        csv.writer(self._file).writerow(_row(entry))
        self._file.flush()

    def _write(self) -> None:
        """Writes the whole table, without rows that later ones replaced."""
        text = io.StringIO(newline="")
        csv.writer(text).writerows([_HEADER, *map(_row, self._entries.values())])
        write_file(self._path, text.getvalue().encode())


@dataclass
class Report:
    """What a download did.

    Attributes:
        path: The table of all.
        counts: Status -> number of parts of items.
        skipped: Number of parts that existed, or were known to be empty or without an image.
        failures: Entries of parts that failed.
    """

    path: Path
    counts: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    failures: list[Entry] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Counts an entry."""
        self.counts[entry.status] += 1
        if entry.status == FAILED:
            self.failures.append(entry)

    def check(self) -> None:
        """ValueError that lists the failures, where there are some."""
        if not self.failures:
            return
        lines = [f"{entry.id} {entry.part}: {entry.detail}" for entry in self.failures]
        raise ValueError(
            f"{len(self.failures)} could not be downloaded:{listed(lines, most=_MOST_MESSAGES)}\n"
            f"{self.path} lists all. Run the same command again to fetch what is missing"
        )

    def __str__(self) -> str:
        found = ", ".join(f"{count} {status}" for status, count in sorted(self.counts.items())) or "nothing new"
        return f"{found}, {self.skipped} known from before; {self.path} lists all"


def fetch_each(items: Mapping[str, Item], parts: Iterable[Part[Item]], manifest_path: Path, again: bool) -> Report:
    """Fetches all parts of all items.

    Args:
        items: Id -> tile or archive.
        parts: In this order; after one without success, the later ones are not requested.
        manifest_path: See `Manifest`.
        again: Whether to request parts again that were empty or had no image.

    Returns:
        What was done and what failed.

    Raises:
        ValueError: The manifest is another kind of file.
        OSError: The manifest cannot be written.
    """
    report = Report(manifest_path)
    ordered = list(parts)
    with Manifest(manifest_path) as manifest:
        for item_id, item in tqdm(items.items(), unit="item", disable=None):
            for part in ordered:
                target, known = part.target(item), manifest.get(item_id, part.name)
                if target.exists():
                    report.skipped += 1
                    continue
                if known and known.status in (EMPTY, NO_IMAGE) and not again:
                    report.skipped += 1
                    break
                entry = Entry(item_id, part.name, *_fetch(item, part, target))
                manifest.add(entry)
                report.add(entry)
                if entry.status != DONE:
                    break
    return report


def _fetch(item: Item, part: Part[Item], target: Path) -> tuple[str, str]:
    """Status and detail."""
    try:
        return DONE, part.fetch(item, target)
    except NoImageError as error:
        return NO_IMAGE, str(error)
    except EmptyTileError as error:
        return EMPTY, str(error)
    except (ValueError, OSError) as error:
        return FAILED, redact(str(error))


def _row(entry: Entry) -> tuple[str, str, str, str]:
    """Cells of a row; text from a server cannot act as a formula when a spreadsheet opens the table."""
    return entry.id, entry.part, entry.status, csv_cell(entry.detail)


def _read(path: Path) -> dict[tuple[str, str], Entry]:
    if not path.exists():
        return {}
    try:
        rows = list(csv.reader(open_csv(path)))
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path} is no table of downloads ({error}): move it away, or choose another out=…") from error
    if rows and tuple(rows[0]) != _HEADER:
        raise ValueError(f"{path} is no table of {', '.join(_HEADER)}: move it away, or choose another out=…")
    return {(row[0], row[1]): Entry(*row) for row in rows[1:] if len(row) == len(_HEADER)}
