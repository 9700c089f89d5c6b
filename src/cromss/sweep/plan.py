"""The runs of a sweep before any of them starts: their configs, their folders, and whether they can start at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.utils import filter_overrides
from omegaconf import DictConfig, OmegaConf

from cromss.config import UserError, check
from cromss.config.inert import without_effect_in_sweep
from cromss.config.launcher import SWEEPERS, check_shape, launcher_problems
from cromss.config.reading import Reading
from cromss.io.plain import printable
from cromss.io.redact import redact
from cromss.runs.config import resolved
from cromss.runs.names import SWEEP
from cromss.runs.sweep_plan import PlannedEntry, planned_runs, save_planned

log = logging.getLogger(__name__)

Overrides = Sequence[str]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a sweep.

    Attributes:
        number: Its number in the sweep, from 0.
        overrides: As Hydra passes them.
        folder: Its folder.
        text: The overrides in which it differs from the other runs of its sweep, as typed.
        config: Resolved, where it is a training or a test; None for another program's.
    """

    number: int
    overrides: Overrides
    folder: Path
    text: str
    config: Mapping[str, Any] | None


def plan(config_loader: Any, config: DictConfig, jobs: Sequence[Overrides], first: int) -> list[PlannedRun]:
    """Composes the configs of jobs, and checks whether they can start.

    Args:
        config_loader: Hydra's.
        config: That of the sweep.
        jobs: Overrides of each.
        first: Number of the first one.

    Raises:
        UserError: One message with every problem of every job; two jobs that share a folder are a problem, too.
    """
    runs: list[PlannedRun] = []
    cfgs: list[DictConfig] = []
    problems: dict[str, str] = {}
    typed = [list(filter_overrides(overrides)) for overrides in jobs]
    common = set(typed[0]).intersection(*typed) if len(typed) > 1 else set()
    for number, (overrides, said) in enumerate(zip(jobs, typed, strict=True), first):
        cfg = config_loader.load_sweep_config(config, list(overrides))
        set_job_number(cfg, number)
        folder = Path(str(cfg.hydra.sweep.dir)) / str(cfg.hydra.sweep.subdir)
        text = redact(" ".join(override for override in said if override not in common))
        own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        found = list(_problems(cfg))
        settings = resolved(own) if "trainer" in own and not found else None
        cfgs.append(own)
        runs.append(PlannedRun(number, list(overrides), folder, text, settings))
        for problem in found:
            # Most problems are common to all jobs, and listed once.
            problems.setdefault(problem, runs[-1].text)
    problems |= dict.fromkeys(_shared_folders(runs), "")
    if not problems:
        problems |= {f"  - {sentence}": "" for sentence in _inert(cfgs, typed, config)}
    if problems:
        lines = [f"{problem}" + f"\n    (first in {text})" * bool(text) for problem, text in problems.items()]
        raise UserError("\n".join(["This sweep cannot start; nothing was submitted:", *lines]))
    return runs


def set_job_number(cfg: DictConfig, number: int) -> None:
    """Sets the number of a job, on which names may depend."""
    OmegaConf.set_readonly(cfg.hydra, False)
    OmegaConf.update(cfg, "hydra.job.num", number, force_add=True)
    OmegaConf.update(cfg, "hydra.job.id", str(number), force_add=True)


def save_plan(folder: Path, runs: Sequence[PlannedRun]) -> None:
    """Saves the runs of a sweep together with those it already has, as a search adds some at a time."""
    known = {entry.folder: entry for entry in planned_runs(folder)} if (folder / SWEEP).exists() else {}
    for run in runs:
        name = run.folder.relative_to(folder).as_posix() if run.folder.is_relative_to(folder) else str(run.folder)
        overrides = [printable(redact(override)) for override in filter_overrides(run.overrides)]
        known[name] = PlannedEntry(folder=name, overrides=overrides)
    save_planned(folder, list(known.values()))


def _problems(cfg: DictConfig) -> Iterator[str]:
    launcher: Any = OmegaConf.to_container(cfg.hydra.launcher, resolve=True)
    wrong = [f"  - {problem.sentence}" for problem in launcher_problems(launcher)]
    yield from wrong
    if "trainer" not in cfg:
        return  # another program's sweep, such as that of `cromss.prepare`, which checks its own settings
    try:
        # The machine that submits jobs need not have the devices that the jobs will have.
        check(cfg, devices=False)
    except UserError as error:
        yield "\n".join(str(error).splitlines()[1:])
    else:
        yield from (f"  - {problem}" for problem in check_shape(cfg) if not wrong)


def _inert(cfgs: Sequence[DictConfig], typed: Sequence[Overrides], sweep: DictConfig) -> list[str]:
    """Sentences about settings of the user that have no effect in the sweep."""
    if not all("trainer" in cfg for cfg in cfgs):
        return []
    # A search chooses settings itself, and may choose one that has no effect in combination with another.
    is_search = str(sweep.hydra.sweeper._target_) in SWEEPERS
    shared = set(sweep.hydra.overrides.task)
    said = [[text for text in texts if not is_search or text in shared] for texts in typed]
    return without_effect_in_sweep([(Reading.of(cfg), texts) for cfg, texts in zip(cfgs, said, strict=True)])


def _shared_folders(runs: Sequence[PlannedRun]) -> Iterator[str]:
    seen: dict[Path, PlannedRun] = {}
    for run in runs:
        other = seen.setdefault(run.folder, run)
        if other is not run:
            yield (
                f"  - {other.text} and {run.text} share the folder {run.folder}: put what they differ in into "
                "hydra.sweep.subdir"
            )
