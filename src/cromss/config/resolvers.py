"""Functions that the YAML files call: names of runs, and facts about bands and classes from the code."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from omegaconf import ListConfig, OmegaConf

from cromss.config.launcher import gpus_per_node
from cromss.io.package_data import config_dir
from cromss.io.redact import redact
from cromss.runs.identity import kind_of
from cromss.runs.lock import holder
from cromss.runs.names import CHECKPOINTS, LAST, RECORD
from cromss.runs.record import read_record

_NEXT_KEY = r",(?=[+~]{{0,2}}(?:{top}|[A-Za-z]\w*[./@][\w./@]*)=)"
"""Separator of overrides, a template for the keys and groups at the top level; values, such as URLs, may also contain
commas and ``name=``."""

LONGEST_NAME = 120
"""Bytes of a run's name; file systems allow 255 for a folder."""


def register_resolvers() -> None:
    """Registers the functions that the YAML files call."""
    resolvers: dict[str, Callable[..., Any]] = {
        "cromss.run_name": run_name,
        "cromss.sweep_name": run_name,
        "cromss.run_folder": run_folder,
        "cromss.band_count": _band_count,
        "cromss.classes": _classes,
        "cromss.colours": _colours,
        "cromss.len": len,
        "cromss.accelerator": _accelerator,
        "cromss.gpus_per_node": gpus_per_node,
        "cromss.watched": _watched,
        "cromss.direction": _direction,
        "cromss.better": better,
    }
    for name, function in resolvers.items():
        # Cached: the name of a run's folder must not change when the folder is created; and jobs of a sweep must take
        # its name from it, as the overrides that they see are their own.
        cached = name in ("cromss.run_folder", "cromss.sweep_name")
        OmegaConf.register_new_resolver(name, function, replace=True, use_cache=cached)


@contextmanager
def without_torch() -> Iterator[None]:
    """Replaces values that need torch by placeholders, so that the other settings can be read at once."""
    for name, value in {"cromss.accelerator": "cpu", "cromss.band_count": 1}.items():
        OmegaConf.register_new_resolver(name, lambda *_, value=value: value, replace=True)
    try:
        yield
    finally:
        register_resolvers()


def run_name(overrides: str) -> str:
    """Names a run after what differs from the defaults.

    Args:
        overrides: Comma-separated ``key=value`` pairs, as Hydra's ``override_dirname`` gives them.

    Returns:
        A file name, the same for the same overrides: ``"defaults"`` without any. Of paths only the last part is kept,
        and a long name is cut and ends in a hash of the whole.
    """
    # URLs may have credentials: two runs that differ only in those are the same.
    typed = re.split(_NEXT_KEY.format(top="|".join(_top_keys())), overrides)
    overrides = ",".join(redact(part) for part in typed if kind_of(_key(part)).named)
    # Paths last, so that the name of an experiment is not cut off after them.
    parts = sorted(overrides.split(","), key=lambda part: "/" in part)
    shortened = ",".join(_without_folders(part) for part in parts)
    name = re.sub(r"[^\w.,=+-]", "_", shortened) or "defaults"
    # The name leaves out folders and signs, so a hash distinguishes runs that differ in them.
    lossless = name in (overrides, "defaults") and len(name.encode()) <= LONGEST_NAME
    digest = hashlib.sha256(overrides.encode()).hexdigest()[:8]
    return name if lossless else f"{_cut(name)}-{digest}"


def _key(override: str) -> str:
    """``trainer.hardware`` of ``+trainer/hardware=ddp``."""
    return re.split("[=@]", override.lstrip("+~"), maxsplit=1)[0].replace("/", ".")


def _cut(name: str) -> str:
    """The beginning of a name, without a partial character."""
    return name.encode()[:LONGEST_NAME].decode(errors="ignore")


@cache
def _top_keys() -> list[str]:
    """Groups and keys at the top of the config."""
    folder = config_dir()
    keys = [str(key) for key in OmegaConf.load(folder / "config.yaml")]
    return [*keys, *(path.name for path in folder.iterdir() if path.is_dir())]


def run_folder(root: str, overrides: str, resume: str | None) -> str:
    """Folder name of a single run below `root`, which never overwrites another run.

    Args:
        root: Folder of the runs.
        overrides: See `run_name`.
        resume: ``"auto"`` resumes in the newest folder of this name whose run is neither finished nor under way;
            anything else, or where there is none, takes the first unused one.

    Returns:
        ``name``, ``name-2``, ``name-3``, ...
    """
    name = run_name(overrides)
    used, number = [], 1
    while (Path(root) / _numbered(name, number)).exists():
        used.append(_numbered(name, number))
        number += 1
    resumable = [folder for folder in used if _is_resumable(Path(root) / folder)]
    return resumable[-1] if resumable and resume == "auto" else _numbered(name, number)


def _is_resumable(folder: Path) -> bool:
    # A folder with neither a record nor a checkpoint may belong to another program.
    if not (folder / RECORD).exists() and not (folder / CHECKPOINTS / LAST).exists():
        return False
    record = read_record(folder)
    return (record is None or record.state != "done") and holder(folder) is None


def _without_folders(pair: str) -> str:
    key, separator, value = pair.partition("=")
    return f"{key}{separator}{value.rstrip('/').rsplit('/', 1)[-1]}"


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def better(monitor: str) -> Literal["min", "max"]:
    """Whether a metric of this name is better when it is low, as a loss, or high, as a score."""
    return "min" if "loss" in monitor else "max"


def _direction(monitor: str, test_only: bool) -> str:
    # A test alone returns the mean IoU.
    return "maximize" if test_only or better(monitor) == "max" else "minimize"


def _watched(val_fraction: float) -> str:
    return "val/loss" if val_fraction else "train/loss"


# These import late: `cromss.dataset` imports torch, which help and mistyped keys do not need.


def _classes(table: str) -> ListConfig:
    from cromss.dataset.classes import CLASSES

    # OmegaConf accepts no plain list from a resolver.
    return ListConfig(list(CLASSES[table]))


def _colours(table: str) -> ListConfig:
    from cromss.dataset.classes import CLASSES

    return ListConfig(list(CLASSES[table].values()))


def _band_count(bands: int | str) -> int:
    from cromss.dataset.bands import band_positions

    return len(band_positions("s2", bands))


def _accelerator() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
