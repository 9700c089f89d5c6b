"""What `cromss prepare` does, by the name of its action."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cromss.dataset.reader import LocationReader
from cromss.dataset.shard_folder import MANIFEST
from cromss.io.extras import extra
from cromss.io.plain import listed
from cromss.io.user_paths import as_path
from cromss.prepare.estimate import check_space, estimate
from cromss.prepare.examples import LABELS, fetch_examples
from cromss.prepare.export import export_scene
from cromss.prepare.shards import Outcome, Part, prepare
from cromss.prepare.sources import SOURCES
from cromss.prepare.verify import verify

log = logging.getLogger(__name__)
_MOST_MESSAGES = 50
# Options that are paths and do not affect the content: a source may move between two runs.
_PATHS: Mapping[str, tuple[str, ...]] = {"ssl4eo_s12": ("labels", "ids")}


def _convert(settings: Mapping[str, Any]) -> None:
    out = _given(settings, "out")
    _check_apart(settings, out)
    part, workers, per_shard = _part(settings), _workers(settings["workers"]), settings["locations_per_shard"]
    reader = _reader(settings)
    options = {"source": settings["source"], **settings[settings["source"]]}
    check_space(reader, out, settings["quantise"], settings["compression"], part.of)
    outcome = prepare(
        reader,
        out,
        settings["quantise"],
        settings["compression"],
        per_shard,
        workers,
        part,
        {name: value for name, value in options.items() if name not in _PATHS.get(settings["source"], ())},
        settings["retry"],
        settings["overwrite"],
        settings["accept_missing"],
    )
    _report(outcome, out, settings["accept_missing"])


def _plan(settings: Mapping[str, Any]) -> None:
    out = _given(settings, "out")
    workers, per_shard = _workers(settings["workers"]), settings["locations_per_shard"]
    reader = _reader(settings)
    jobs, how = _part(settings).of, (settings["quantise"], settings["compression"])
    log.info("%s", estimate(reader, out, *how, workers, jobs, per_shard))
    check_space(reader, out, *how, jobs)


def _verify(settings: Mapping[str, Any]) -> None:
    found = verify(_given(settings, "out" if settings["path"] is None else "path"), _MOST_MESSAGES)
    if found.damaged.total:
        raise ValueError(f"{found}. Create the store again")
    if found.missing.total and not settings["accept_missing"]:
        raise ValueError(
            f"{found}. Repair the source and set retry=true, or set accept_missing=true to do without them"
        )
    log.info("%s", found)


def _stats(settings: Mapping[str, Any]) -> None:
    # Imported late: drawing takes seconds to import, and the other actions do not need it.
    from cromss.prepare.stats_page import stats

    log.info("%s", stats(_given(settings, "path"), settings["reference"]["kind"], _given(settings, "out")))


def _download(settings: Mapping[str, Any]) -> None:
    # Imported late, as its packages are an extra.
    with extra("download", "action=download"):
        from cromss.prepare.download.sources import download
    report = download(_given(settings, "source"), _given(settings, "out"), settings["download"])
    log.info("%s", report)
    report.check()


def _export(settings: Mapping[str, Any]) -> None:
    out = _given(settings, "out")
    export_scene(out, **settings["export"])
    log.info("%s", "\n".join(str(out / f"{name}.tif") for name in ("s1", "s2", "dw", "truth")))


def _examples(settings: Mapping[str, Any]) -> None:
    out = _given(settings, "out")
    count = fetch_examples(out, settings["examples"]["url"])
    log.info("%d locations in %s; %s says where they are from", count, out, out / "SOURCE.md")
    log.info("Train on them by dataset=folder dataset.path=%s dataset.labels=%s", out, LABELS)


ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
    "convert": _convert,
    "verify": _verify,
    "plan": _plan,
    "stats": _stats,
    "download": _download,
    "export": _export,
    "examples": _examples,
}
"""Value of ``action=`` -> function of the settings."""


def _reader(settings: Mapping[str, Any]) -> LocationReader:
    source = _given(settings, "source")
    return SOURCES[source](_given(settings, "path"), **settings[source])


def _check_apart(settings: Mapping[str, Any], out: Path) -> None:
    """ValueError where a store would be inside its source folder, and be read as a location of it."""
    path = _given(settings, "path")
    if out.resolve().is_relative_to(path.resolve()):
        raise ValueError(f"out={out} lies in path={path}, which is read: choose a folder outside of it")


def _report(outcome: Outcome, out: Path, accept_missing: bool) -> None:
    """Logs what is stored; ValueError where locations are missing."""
    if outcome.unwritten:
        log.info(
            "%d of %d shards of %s are complete; other jobs write the rest",
            outcome.shards - outcome.unwritten,
            outcome.shards,
            out,
        )
        return
    missing = sum(count for status, count in outcome.counts.items() if status != "done")
    if not missing or accept_missing:
        log.info("%d locations written to %s", outcome.counts["done"], out)
        return
    lines = [f"{entry.location_id} {entry.status}: {entry.reason}" for entry in outcome.problems]
    kept = "" if outcome.folder == out else f", and {out} is unchanged"
    raise ValueError(
        f"{missing} locations are not in {outcome.folder}, which holds {outcome.counts['done']}{kept}:"
        f"{listed(lines, missing)}\n{outcome.folder / MANIFEST} lists all. Repair the source and set retry=true, or "
        "accept the store without them: accept_missing=true"
    )


def _part(settings: Mapping[str, Any]) -> Part:
    """The number of this job: ``3/64``, or 3 with ``shards=64``, as a sweep over numbers sets it."""
    shard, shards = settings["shard"], settings["shards"]
    if shard is None:
        return Part()
    match = re.fullmatch(r"(\d+)/(\d+)", f"{shard}" if shards is None else f"{shard}/{shards}")
    if match is None or not int(match[1]) < int(match[2]):
        given = f"shard={shard}" if shards is None else f"shard={shard} shards={shards}"
        raise ValueError(f"{given} must be a job of several: shard=0/64 to shard=63/64, or shard=3 shards=64")
    return Part(int(match[1]), int(match[2]))


def _workers(value: Any) -> int:
    if value == "auto":
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(value)


def _given(settings: Mapping[str, Any], key: str) -> Any:
    """A setting that the action needs; ValueError where it is missing."""
    if (value := settings[key]) is None:
        raise ValueError(f"{key}=… is missing; `cromss prepare --help` shows examples")
    return value if isinstance(value, Mapping) or key == "source" else as_path(value)
