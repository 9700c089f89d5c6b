"""From published files to a store: beside the published way, two workers beside one, an archive beside gzip alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import lmdb

from benchmarks.published import check_equal, prepare_published
from benchmarks.raw import SIZE, random_archive, random_ssl4eo_s12, write_ids
from benchmarks.running import Run, run
from benchmarks.timing import seconds
from cromss.prepare.spool import spool

DISK_BYTES = 12 * 2**20
"""Bytes per location: in the archive, between archive and store, and in the store, with some reserve."""


def compare_preparing(locations: int = 240, published: int = 60, per_shard: int = 24) -> dict[str, dict[str, float]]:
    """Prepares folders of raw files.

    Args:
        locations: Locations that ours prepares, with one worker and with two.
        published: How many of them the published way prepares.
        per_shard: Locations a shard of ours.

    Returns:
        ``one_core``: ``published_ms`` and ``ours_ms`` of processor time per location, and ``ratio``; ``two_workers``:
        ``one_s`` and ``two_s`` of wall time, and ``ratio``; ``labels``: ``stored_bytes``, ``raw_bytes`` and ``ratio``.
        What a run on two locations takes is subtracted from the times of ours, since a start is no work.

    Raises:
        RuntimeError: A run failed, or the two ways make different values.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = random_ssl4eo_s12(folder / "raw", locations)
        few = write_ids(folder / "few.csv", 2)
        whole, start = {}, {}
        for workers in (1, 2):
            store = folder / f"store-{workers}"
            start[workers] = prepare(raw, raw / "labels", few, folder / f"few-{workers}", workers, 1)
            whole[workers] = prepare(raw, raw / "labels", raw / "ids.csv", store, workers, per_shard)
        theirs = seconds(lambda: prepare_published(raw, published, folder / "published")) / published
        check_equal(folder / "published", folder / "store-2")
        one, two = (whole[workers].seconds - start[workers].seconds for workers in (1, 2))
        mine = (whole[1].processor - start[1].processor) / (locations - 2)
        stored, labels = _label_bytes(folder / "store-1"), locations * 4 * SIZE**2
    return {
        "one_core": {"published_ms": 1000 * theirs, "ours_ms": 1000 * mine, "ratio": theirs / mine},
        "two_workers": {"one_s": one, "two_s": two, "ratio": one / two},
        "labels": {"stored_bytes": stored, "raw_bytes": labels, "ratio": stored / labels},
    }


def compare_archives(locations: int = 1600, times: int = 4) -> dict[str, float]:
    """Prepares an archive with all cores, and one that is so many times smaller; fewer where the disk is short.

    Args:
        locations: Locations of the large archive.
        times: How many times larger it is.

    Returns:
        ``locations``; wall time for the large archive: ``gzip_s`` to unpack it to nothing, ``pass_s`` to pass over it,
        ``prepare_s`` in all, and ``time_ratio`` of the first two; ``small_mib`` and ``large_mib`` of memory, and
        ``memory_ratio``.

    Raises:
        RuntimeError: A run failed.
    """
    locations = min(locations, shutil.disk_usage(tempfile.gettempdir()).free // DISK_BYTES)
    runs = []
    for number in (locations // times, locations):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            archive, ids = random_archive(folder / "raw.tar.gz", number), write_ids(folder / "ids.csv", number)
            start = time.perf_counter()
            subprocess.run(["gzip", "-dc", archive], stdout=subprocess.DEVNULL, check=True)
            unpacking = time.perf_counter() - start
            start = time.perf_counter()
            spool([archive], folder / "spooled", {0: set(range(number))})
            passing = time.perf_counter() - start
            shutil.rmtree(folder / "spooled")
            runs.append(prepare(archive, None, ids, folder / "store", os.cpu_count() or 1))
    small, large = runs
    return {
        "locations": locations,
        "gzip_s": unpacking,
        "pass_s": passing,
        "prepare_s": large.seconds,
        "time_ratio": unpacking / passing,
        "small_mib": small.memory,
        "large_mib": large.memory,
        "memory_ratio": large.memory / small.memory,
    }


def prepare(path: Path, labels: Path | None, ids: Path, out: Path, workers: int, per_shard: int = 128) -> Run:
    """Runs ``cromss prepare`` on raw files of SSL4EO-S12; an archive holds its labels itself."""
    settings: Mapping[str, object] = {
        "source": "ssl4eo_s12",
        "path": path,
        "ssl4eo_s12.labels": labels or "null",
        "ssl4eo_s12.ids": ids,
        "out": out,
        "workers": workers,
        "locations_per_shard": per_shard,
    }
    command = [sys.executable, "-m", "cromss.prepare", *(f"{key}={value}" for key, value in settings.items())]
    return run(command)


def _label_bytes(store: Path) -> int:
    return sum(len(value) for key, value in _values(store) if key.endswith(b"/labels"))


def _values(store: Path) -> Iterator[tuple[bytes, bytes]]:
    for path in store.rglob("data.mdb"):
        with lmdb.open(str(path.parent), readonly=True, lock=False) as file, file.begin() as txn:
            yield from txn.cursor()
