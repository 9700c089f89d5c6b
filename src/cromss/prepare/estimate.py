"""Estimates the size of a store and the time to prepare it, from a few of its locations."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np

from cromss.dataset.convert import Conversion
from cromss.dataset.reader import DatasetInfo, LocationReader
from cromss.dataset.store_format import CODECS
from cromss.prepare.ssl4eo_s12 import Ssl4eoReader

_SAMPLE = 24
_LABEL_RATIO = 0.2
"""Share of their raw bytes that compressed labels take at most; measured: a tenth."""
_OVERHEAD = 1.05


def estimate(
    reader: LocationReader,
    out: Path,
    quantised: bool,
    compression: Mapping[str, str],
    workers: int,
    jobs: int,
    per_shard: int,
) -> str:
    """Reads and encodes some locations, spread evenly, and writes nothing.

    Args:
        reader: The source.
        out: The store.
        quantised: See `Conversion`.
        compression: See `StoreWriter`.
        workers: Processes per job.
        jobs: Number of jobs.
        per_shard: Locations per shard.

    Returns:
        Lines about the number of locations, the size of the store and the time that it takes.

    Raises:
        ValueError: None of the locations can be read.
    """
    conversion = Conversion(reader.info, quantised)
    count = len(reader)
    size: float = most_bytes(conversion.info, compression)
    took = "not measured: an archive is read in one pass, at the rate of its decompression"
    damaged = []
    # The files of an archive cannot be read by location.
    if not (isinstance(reader, Ssl4eoReader) and reader.archives):
        sample = np.unique(np.linspace(0, count - 1, min(_SAMPLE, count)).astype(int)).tolist()
        sizes, problems = [], []
        start = time.perf_counter()
        for index in sample:
            try:
                sizes.append(_encoded(conversion.read(reader, index), compression))
            except ValueError as error:
                problems.append(error)
        if not sizes:
            raise ValueError(f"none of {len(sample)} locations looked at can be read; the last: {problems[-1]}")
        seconds = (time.perf_counter() - start) / len(sample)
        size = float(np.mean(sizes)) * _OVERHEAD
        spread = f"{jobs} jobs of {workers} workers" if jobs > 1 else f"{workers} workers"
        took = (
            f"{_duration(seconds * count / (workers * jobs))} with {spread}, at {1000 * seconds:.1f} ms per location "
            f"and core ({len(sample)} measured)"
        )
        if problems:
            damaged = [f"damaged     {len(problems)} of the {len(sample)} locations looked at cannot be read"]
    return "\n".join(
        [
            f"locations   {count:,} in {-(-count // per_shard):,} shards",
            f"store       {_size(size * count)}; {_size(_free(out))} are free",
            f"time        {took}",
            *damaged,
        ]
    )


def check_space(reader: LocationReader, out: Path, quantised: bool, compression: Mapping[str, str], jobs: int) -> None:
    """ValueError where the disk is too small for what a job still has to write."""
    needed = most_bytes(Conversion(reader.info, quantised).info, compression) * len(reader) / jobs
    there = sum(file.stat().st_size for file in out.glob("*.lmdb/data.mdb")) if out.is_dir() else 0
    if needed - there > _free(out):
        raise ValueError(
            f"{out} needs {_size(needed - there)} more, and {_size(_free(out))} are free there: free space, choose "
            "another disk, or compress images as well (compression.s1=zstd compression.s2=zstd)"
        )


def most_bytes(info: DatasetInfo, compression: Mapping[str, str]) -> float:
    """Approximate bytes of one location; compressed images, which may shrink to anything, are not counted."""

    def share(field: str, compressed: float) -> float:
        return 1 if compression.get(field, "none") == "none" else compressed

    total = sum(
        share(name, 0) * len(stored.bands) * np.dtype(stored.dtype).itemsize for name, stored in info.modalities.items()
    )
    total += sum(share(name, _LABEL_RATIO) for name in ("labels", *(["truth"] if info.has_truth else [])))
    return total * info.seasons * prod(info.size) * _OVERHEAD


def _encoded(location: Mapping[str, object], compression: Mapping[str, str]) -> int:
    images = location["images"]
    assert isinstance(images, Mapping)
    fields = {**images, "labels": location["labels"], "truth": location["truth"]}
    return sum(
        len(CODECS[compression.get(name, "none")].encode(array.tobytes()))
        for name, array in fields.items()
        if array is not None
    )


def _free(out: Path) -> int:
    existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    return shutil.disk_usage(existing).free


def _size(count: float) -> str:
    power = min(int(np.log10(max(count, 1)) // 3), 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
