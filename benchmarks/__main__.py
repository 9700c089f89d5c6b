"""`make bench`: every commitment on speed, memory and size, measured in one run, as ratios.

A ratio within one run holds on any machine; the absolute times beside it are this machine's and mean nothing elsewhere.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.data import compare_data
from benchmarks.head import compare_head, compare_prior
from benchmarks.mapping import compare_scenes, measure_mapping
from benchmarks.memory import compare_memory, compare_size
from benchmarks.preparing import compare_archives, compare_preparing
from benchmarks.rows import Row, at_least
from benchmarks.training import measure_step
from benchmarks.transfer import compare_frozen, measure_test

OUT = Path("outputs") / "bench.json"
STEP_BATCH = 4
MEMORY_LOCATIONS = 300


def data_rows() -> list[Row]:
    """From the files to what the network sees."""
    data = compare_data()
    return [
        at_least("a ready batch, one core, per sample", data["ready"], 10),
        at_least("a worker's share (read, collate), per sample", data["worker"], 100),
    ]


def step_rows() -> list[Row]:
    """Where the time of a ResNet-50 step goes."""
    step = measure_step(STEP_BATCH, steps=4)
    whole = f"of {step['step_s']:.1f} s for {STEP_BATCH} locations"
    rest = f"{whole}; data {step['data']:.1%}, optimiser {step['update']:.1%}"
    return [
        Row("step inside the network, forward and backward", step["network"], ">= 95 %", step["network"] >= 0.95, rest),
        Row("step in selection + smoothing + losses", step["head"], "< 3 %", step["head"] < 0.03, whole),
    ]


def transfer_rows() -> list[Row]:
    """What a frozen encoder saves, and what a test costs beside the network alone."""
    frozen, test = compare_frozen(STEP_BATCH, steps=4), measure_test(locations=24, batch=STEP_BATCH)
    steps = f"{frozen['full_s']:.1f} s -> {frozen['frozen_s']:.1f} s"
    whole = f"of {test['test_s']:.2f} s a patch"
    return [
        Row("step with a frozen encoder beside a full one", frozen["ratio"], "> 1 x", frozen["ratio"] > 1, steps),
        Row("test inside the network", test["network"], ">= 90 %", test["network"] >= 0.9, whole),
    ]


def mapping_rows() -> list[Row]:
    """What a map of a scene costs beside the network alone, in time and in memory."""
    mapping, memory = measure_mapping(side=700, window=256, batch=STEP_BATCH), compare_scenes(1_000, 10_000)
    name = "map of a scene at 10 x the side, memory"
    sizes = f"{memory['small_mib']:.0f} MiB for 1,000 px a side, {memory['large_mib']:.0f} MiB for 10,000"
    whole = f"of {mapping['windows_s']:.2f} s a window"
    return [
        Row("map of a scene inside the network", mapping["network"], ">= 90 %", mapping["network"] >= 0.9, whole),
        Row(name, memory["ratio"], "<= 1.10", 0.9 <= memory["ratio"] <= 1.1, sizes),
    ]


def memory_row() -> Row:
    """Memory of a training process on ten times the locations."""
    memory = compare_memory(MEMORY_LOCATIONS)
    detail = (
        f"{memory['small_mib']:.0f} MiB for {MEMORY_LOCATIONS:,} locations, "
        f"{memory['large_mib']:.0f} MiB for {10 * MEMORY_LOCATIONS:,}"
    )
    return Row("training process at 10 x the locations", memory["ratio"], "<= 1.05", memory["ratio"] <= 1.05, detail)


def size_row() -> Row:
    """Bytes of a store on disk beside those of its values."""
    size = compare_size(locations=8)
    detail = f"{size['raw_bytes'] / 1e6:.1f} MB -> {size['stored_bytes'] / 1e6:.1f} MB"
    return Row("store size / raw bytes", size["ratio"], "<= 1.05", size["ratio"] <= 1.05, detail)


def preparing_rows() -> list[Row]:
    """From folders of published files to a store."""
    found = compare_preparing()
    two, labels = found["two_workers"], found["labels"]
    times = f"{two['one_s']:.1f} s -> {two['two_s']:.1f} s"
    sizes = f"{labels['raw_bytes'] / 1e6:.1f} MB -> {labels['stored_bytes'] / 1e6:.1f} MB"
    return [
        at_least("preparing, one core, per location", found["one_core"], 3),
        Row("preparing with two workers beside one", two["ratio"], ">= 1.7 x", two["ratio"] >= 1.7, times),
        Row("labels in a store / raw bytes", labels["ratio"], "<= 0.2", labels["ratio"] <= 0.2, sizes),
    ]


def archive_rows() -> list[Row]:
    """From an archive of published files to a store, beside unpacking alone, in time and in memory."""
    found = compare_archives()
    time, memory = found["time_ratio"], found["memory_ratio"]
    whole = (
        f"{found['gzip_s']:.0f} s -> {found['pass_s']:.0f} s for {found['locations']:,.0f} locations; "
        f"{found['prepare_s']:.0f} s with the store"
    )
    sizes = f"{found['small_mib']:.0f} MiB for an archive, {found['large_mib']:.0f} MiB for one of 4 x the size"
    return [
        Row("pass over an archive beside gzip -dc of it", time, ">= 0.8", time >= 0.8, whole),
        Row("preparing an archive of 4 x the size, memory", memory, "<= 1.10", memory <= 1.1, sizes),
    ]


MEASUREMENTS: tuple[Callable[[], list[Row]], ...] = (
    data_rows,
    lambda: [at_least("label prior, per sample", compare_prior(), 1)],
    lambda: [at_least("selection + smoothing + losses, one core", compare_head(), 2)],
    step_rows,
    transfer_rows,
    mapping_rows,
    lambda: [memory_row()],
    lambda: [size_row()],
    preparing_rows,
    archive_rows,
)


def main() -> None:
    """Measures, prints one table and writes it as JSON, which says of each row whether it is met."""
    rows: list[Row] = []
    print(f"{'':46}{'measured':>10}  {'promised':9}")
    for measure in MEASUREMENTS:
        for row in measure():
            rows.append(row)
            shown = f"{row.measured:.1%}" if "%" in row.promised else f"{row.measured:.2f}"
            print(f"{row.name:46}{shown:>10}  {row.promised:9} {'ok ' if row.met else 'NOT'}  {row.detail}", flush=True)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "torch": torch.__version__}
    OUT.write_text(json.dumps(machine | {"rows": [asdict(row) for row in rows]}, indent=1))
    print(f"\n{sum(row.met for row in rows)} of {len(rows)} promises kept; {OUT}")


if __name__ == "__main__":
    main()
