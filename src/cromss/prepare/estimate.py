"""What preparing a store will take: locations, bytes and time, from a few of its locations."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from cromss.dataset.convert import Conversion
from cromss.dataset.reader import DatasetInfo, LocationReader
from cromss.dataset.store_format import CODECS
from cromss.prepare.shards import Streamed

_SAMPLE = 24
_LABEL_RATIO = 0.2
"""Share of their raw bytes that compressed labels take at most; measured: a tenth."""
_OVERHEAD = 1.05


@dataclass(frozen=True)
class Estimate:
    """What is to be expected.

    Attributes:
        locations: Number of locations of the source.
        shards: Number of shards.
        bytes: Of the whole store.
        free: Bytes free at its place.
        seconds: Of work for a location on one core, as measured; None where nothing could be sampled.
        sampled: Locations that were read for it.
        failed: Those among them that cannot be read.
        workers: Processes a job.
        jobs: Number of jobs.
    """

    locations: int
    shards: int
    bytes: float
    free: int
    seconds: float | None
    sampled: int
    failed: int
    workers: int
    jobs: int

    def __str__(self) -> str:
        lines = [
            f"locations   {self.locations:,} in {self.shards:,} shards",
            f"store       {_size(self.bytes)}; {_size(self.free)} are free",
        ]
        if self.seconds is None:
            lines.append("time        not measured: an archive is read in one pass, at the rate of its decompression")
        else:
            total = self.seconds * self.locations / (self.workers * self.jobs)
            spread = f"{self.jobs} jobs of {self.workers} workers" if self.jobs > 1 else f"{self.workers} workers"
            lines.append(
                f"time        {_duration(total)} with {spread}, at {1000 * self.seconds:.1f} ms a location and core "
                f"({self.sampled} measured)"
            )
        if self.failed:
            lines.append(f"damaged     {self.failed} of the {self.sampled} locations looked at cannot be read")
        return "\n".join(lines)


def estimate(
    reader: LocationReader,
    out: Path,
    quantised: bool,
    compression: Mapping[str, str],
    workers: int,
    jobs: int,
    per_shard: int,
) -> Estimate:
    """Reads and encodes some locations, spread evenly, and writes nothing.

    Args:
        reader: What is to be prepared.
        out: Where to.
        quantised: See `Conversion`.
        compression: See `StoreWriter`.
        workers: Processes a job.
        jobs: Number of jobs.
        per_shard: Locations in a shard.

    Raises:
        ValueError: None of the locations can be read.
    """
    conversion = Conversion(reader.info, quantised)
    size: float = most_bytes(conversion.info, compression)
    seconds, sampled, failed = None, 0, 0
    # The files of an archive cannot be looked at by location.
    if not (isinstance(reader, Streamed) and reader.archives):
        places = np.unique(np.linspace(0, len(reader) - 1, min(_SAMPLE, len(reader))).astype(int)).tolist()
        sizes, sampled = [], len(places)
        start = time.perf_counter()
        for index in places:
            try:
                sizes.append(_encoded(conversion.read(reader, index), compression))
            except ValueError as error:
                failed += 1
                reason = error
        if not sizes:
            raise ValueError(f"none of {sampled} locations looked at can be read; the last: {reason}") from reason
        seconds = (time.perf_counter() - start) / sampled
        size = float(np.mean(sizes)) * _OVERHEAD
    return Estimate(
        len(reader),
        -(-len(reader) // per_shard),
        size * len(reader),
        _free(out),
        seconds,
        sampled,
        failed,
        workers,
        jobs,
    )


def check_space(reader: LocationReader, out: Path, quantised: bool, compression: Mapping[str, str], jobs: int) -> None:
    """ValueError where the disk is too small for what a job writes, beside what it has written already."""
    needed = most_bytes(Conversion(reader.info, quantised).info, compression) * len(reader) / jobs
    there = sum(file.stat().st_size for file in out.glob("*.lmdb/data.mdb")) if out.is_dir() else 0
    if needed - there > _free(out):
        raise ValueError(
            f"{out} needs {_size(needed - there)} more, and {_size(_free(out))} are free there: free space, choose "
            "another disk, or compress images as well (compression.s1=zstd compression.s2=zstd)"
        )


def most_bytes(info: DatasetInfo, compression: Mapping[str, str]) -> float:
    """About the bytes of one location; of compressed images, which may shrink to anything, nothing is counted."""
    pixels = info.seasons * prod(info.size)
    images = sum(
        pixels * len(stored.bands) * np.dtype(stored.dtype).itemsize
        for name, stored in info.modalities.items()
        if compression.get(name, "none") == "none"
    )
    labels = sum(
        pixels * (1 if compression.get(name, "none") == "none" else _LABEL_RATIO)
        for name in ("labels", *(["truth"] if info.has_truth else []))
    )
    return (images + labels) * _OVERHEAD


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
    place = out.absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def _size(count: float) -> str:
    power = min(int(np.log10(max(count, 1)) // 3), 4)
    return f"{count / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB', 'TB')[power]}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
