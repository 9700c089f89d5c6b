"""The one reader of runs: every run below some folders, and what could not be read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from cromss.io.plain import NotPlainError, parse, printable
from cromss.report.metrics import NOTHING, Metrics, class_metrics, read_metrics
from cromss.runs.config import read_config, read_hydra
from cromss.runs.identity import config_hash
from cromss.runs.names import BEST, CHECKPOINTS, CONFIG, HYDRA, METRICS, PANELS, PREDICTIONS, RECORD, RESULTS, SUMMARY
from cromss.runs.record import load_record
from cromss.runs.results import MEANS, Results, RunSettings, StartingWeights, read_results, settings_of
from cromss.runs.state import states_of

DONE = "done"
UNFINISHED = "unfinished"
"""State of a run without a record that did not reach its summary."""

HYDRA_FILE = f"{HYDRA}/hydra.yaml"

_INSIDE = {CHECKPOINTS, PANELS, PREDICTIONS, "wandb"}
"""Folders of a run that hold many files and no runs."""

_MODES = {"reference": "frozen", "frozen": "frozen", "none": "finetuned"}

Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Run:
    """A run as its folder describes it.

    Attributes:
        path: The folder.
        name: The folder, relative to the searched folder.
        state: Of `cromss.runs.record.RunRecord` or `cromss.runs.state.RunState`, or `UNFINISHED`.
        error: Why it failed; None where it did not.
        modified: When its newest file was written, in seconds since 1970.
        config: Resolved; where `results.json` is all there is, as much as that says.
        config_hash: Equal for runs that agree in all settings but seed, paths and hardware.
        settings: The few settings that people compare runs by.
        choices: Group -> option; empty where that is not known.
        overridden: Keys that the command line set; empty where that is not known.
        weights: Weights that the training started from, one entry per loaded file; empty for random weights.
        commit: Of the code; None where that is not known.
        metrics: By epoch.
        results: What a test found; None where there was none.
    """

    path: Path
    name: str
    state: str
    error: str | None
    modified: float
    config: Mapping[str, Any]
    config_hash: str
    settings: RunSettings
    choices: Mapping[str, str]
    overridden: frozenset[str]
    weights: Sequence[StartingWeights]
    commit: str | None
    metrics: Metrics
    results: Results | None

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.settings.seed

    @property
    def monitor(self) -> str:
        """The metric whose best value determines the best epoch."""
        return self.config["trainer"]["monitor"]

    @property
    def mode(self) -> str | None:
        """``"frozen"`` or ``"finetuned"`` as the paper calls it; None for an encoder that is unfrozen later."""
        return _MODES.get(self.settings.freeze) if self.settings.freeze_epochs is None else None

    @property
    def test(self) -> dict[str, float | None]:
        """Scores of the test by name, ``test/s2/miou``, shares in [0, 1]; None where undefined."""
        found: dict[str, float | None] = {}
        for branch, scores in self.results.scores.items() if self.results else ():
            found |= {f"test/{branch}/{name}": getattr(scores, name) for name in MEANS}
            names = class_metrics(f"test/{branch}/iou", list(scores.classes))
            found |= {names[label]: of_class.iou for label, of_class in scores.classes.items()}
        return found

    @property
    def tested(self) -> tuple[object, ...] | None:
        """Equal for tests that can be averaged: of one test set, the same pixels, branches and stage; None without."""
        if self.results is None:
            return None
        test = self.results.tested
        return (test.locations, test.evaluate, test.pixels, test.labelled, self.stage, *self.results.scores)

    @property
    def part(self) -> str | None:
        """What of the test set was scored, in words, where that is not each labelled pixel."""
        test = self.results.tested if self.results else None
        if test is None or test.pixels is None or test.labelled is None or test.pixels == test.labelled:
            return None
        return f"{test.pixels / test.labelled:.1%} of the labelled pixels (dataset.evaluate={test.evaluate})"

    @property
    def stage(self) -> str | None:
        """Name of the tested checkpoint where it is not that of the end of the training."""
        if self.results is None:
            return None
        test = self.results.tested
        name = Path(str(test.checkpoint)).name
        is_early = test.epochs not in (None, self.settings.epochs)
        return name if is_early or name == BEST else None


@dataclass(frozen=True)
class FoundRuns:
    """All runs below some folders.

    Attributes:
        folders: The searched folders.
        runs: Those that could be read, in the order of their names.
        problems: What could not be read, and why; one line each.
    """

    folders: Sequence[Path]
    runs: Sequence[Run]
    problems: Sequence[str]


def read_runs(folders: Sequence[Path]) -> FoundRuns:
    """Reads every run below the folders; what cannot be read is left out, and named in `problems`.

    Args:
        folders: Searched to any depth; a run below two of them counts once.

    Raises:
        ValueError: One is no folder.
    """
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"runs={folder} is no folder: name the one below which runs lie, or [several]")
    problems: list[str] = []
    found = {
        path.resolve(): (path, name) for folder in folders for path, name in _below(folder, len(folders) > 1, problems)
    }
    runs = [_read(path, name, problems) for path, name in sorted(found.values(), key=lambda pair: pair[1])]
    return FoundRuns(folders, _with_living([run for run in runs if run is not None]), problems)


def _below(folder: Path, several: bool, problems: list[str]) -> Iterator[tuple[Path, str]]:
    """Folders of runs with their names: relative to where was searched, which is named if it is one of several."""

    def unreadable(error: OSError) -> None:
        problems.append(_problem(str(error.filename), error.strerror))

    for parent, inner, files in os.walk(folder, onerror=unreadable):
        path, names = Path(parent), set(files)
        hidden = {name for name in inner if name.startswith(".")}
        if names & {RECORD, RESULTS} or {CONFIG, METRICS} <= names:
            relative = path.relative_to(folder)
            yield path, str(folder / relative if several else relative) if relative.parts else folder.resolve().name
            hidden |= _INSIDE
        inner[:] = sorted(set(inner) - hidden)


def _read(folder: Path, name: str, problems: list[str]) -> Run | None:
    """Reads a run. A damaged file beside its settings counts as missing; without settings there is no run."""

    def tried(file: str, read: Callable[[Path], Value], missing: Value) -> Value:
        try:
            return read(folder / file)
        except (FileNotFoundError, NotADirectoryError):
            return missing
        except (ValueError, OSError) as error:
            problems.append(_problem(f"{name}/{file}", error))
            return missing

    already = len(problems)
    record = tried(RECORD, load_record, None)
    results = tried(RESULTS, read_results, None)
    config = tried(CONFIG, read_config, None)
    if config is None and results is None:
        if len(problems) == already:
            ended = f", and ended: {record.error}" if record and record.error else ""
            problems.append(_problem(name, f"it has no {CONFIG}{ended}"))
        return None
    nothing: tuple[dict[str, str | None], list[str]] = ({}, [])
    choices, overrides = (record.choices, record.overrides) if record else tried(HYDRA_FILE, read_hydra, nothing)
    try:
        settings = results or _settings(config, choices)
    except NotPlainError as error:
        problems.append(_problem(f"{name}/{CONFIG}", error))
        return None
    is_done = results is not None or (folder / SUMMARY).exists()
    return Run(
        path=folder,
        name=printable(name),
        state=record.state if record else DONE if is_done else UNFINISHED,
        error=record.error if record else None,
        modified=_modified(folder),
        config=config or _config_of(settings),
        config_hash=config_hash(config) if config else settings.config_hash,
        settings=settings,
        choices={group: option for group, option in choices.items() if option is not None}
        or {"dataset": settings.dataset, "fusion": settings.fusion},
        overridden=frozenset(_key(override) for override in overrides),
        weights=results.weights if results else _weights(config or {}),
        commit=(record.git_commit if record else None) or (results.git_commit if results else None),
        metrics=tried(METRICS, read_metrics, NOTHING),
        results=results,
    )


def _modified(folder: Path) -> float:
    newest = 0.0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # a run that is under way replaces its files
            newest = max(newest, path.stat().st_mtime if path.is_file() else 0.0)
    return newest


def _settings(config: Any, choices: Mapping[str, str | None]) -> RunSettings:
    chosen = {group: choices.get(group) or "unknown" for group in ("dataset", "fusion")}
    return parse(RunSettings, settings_of(config, chosen))


def _config_of(settings: RunSettings) -> dict[str, Any]:
    """The part of a config that `results.json` alone contains."""
    scores = next(iter(settings.scores.values())) if isinstance(settings, Results) else None
    return {
        "seed": settings.seed,
        "dataset": {
            "bands": settings.bands,
            "train_samples": settings.train_samples,
            "classes": list(scores.classes) if scores else [],
            "colours": [],
        },
        "backbone": {name: getattr(settings, name) for name in ("decoder", "freeze", "freeze_epochs")}
        | {"encoder": settings.backbone},
        "trainer": {"epochs": settings.epochs, "monitor": "val/loss"},
    }


def _weights(config: Mapping[str, Any]) -> list[StartingWeights]:
    """The weights of a training that was not tested, from its config; without checksums of files."""
    origin, paths = config["backbone"]["weights"], config["backbone"]["weights_path"]
    if origin == "none":
        return []
    each = paths if isinstance(paths, Mapping) else {None: paths}
    return [StartingWeights(origin=origin, path=path, modality=modality) for modality, path in each.items()]


def _with_living(runs: Sequence[Run]) -> list[Run]:
    """The runs with corrected states: the record of a killed run still says that it is running."""
    claimed = [run for run in runs if run.state == "running"]
    states = states_of([run.path for run in claimed])
    gone = {run.path for run, state in zip(claimed, states, strict=True) if state.state == "interrupted"}
    return [replace(run, state="interrupted") if run.path in gone else run for run in runs]


def _key(override: str) -> str:
    """``selection.prop`` of ``+selection.prop=0.5``; a group's slash counts as a dot."""
    return re.split("[=@]", override.lstrip("+~"), maxsplit=1)[0].replace("/", ".")


def _problem(what: str, why: object) -> str:
    return printable(f"{what}: {' '.join(str(why).split())}")
