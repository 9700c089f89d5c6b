"""One run as its folder tells it: settings, state, metrics by epoch, what a test found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from cromss.experiment import config_hash, leaves
from cromss.report.page.metrics import NOTHING, Metrics, class_metrics, read_metrics
from cromss.report.result_file import read_run
from cromss.runs.names import CONFIG, METRICS, RECORD, RESULTS, SUMMARY
from cromss.sweep.record import FORMAT
from cromss.trainer.results import MEANS

DONE = "done"
UNFINISHED = "unfinished"
"""State of a run without a record that did not come to its last words."""

# The C parser is a hundred times faster, and not in every build of PyYAML.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Value = TypeVar("Value")


@dataclass(frozen=True)
class PageRun:
    """What the page needs of a run.

    Attributes:
        path: The folder.
        name: The folder, from where was searched.
        state: Of `cromss.sweep.record.RunRecord` or `cromss.sweep.state.RunState`, or `UNFINISHED`.
        error: Why it failed; None where it did not.
        config: Resolved.
        choices: Group -> option; empty where that is not known.
        overridden: Keys that the command line set; empty where that is not known.
        commit: Of the code; None where that is not known.
        metrics: By epoch.
        test: Scores of a test by name, ``test/s2/miou``, shares in [0, 1]; None where undefined.
        problems: What could not be read, sentences.
    """

    path: Path
    name: str
    state: str
    error: str | None
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    overridden: frozenset[str]
    commit: str | None
    metrics: Metrics
    test: Mapping[str, float | None]
    problems: tuple[str, ...]

    @property
    def seed(self) -> int:
        """The run's seed."""
        return self.config["seed"]

    @property
    def monitor(self) -> str:
        """The metric that its best epoch is the best of."""
        return self.config["trainer"]["monitor"]

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for seeds of one experiment: runs that agree in their settings and start from the same weights."""
        return (config_hash(self.config), json.dumps(weights_paths(self.config)))


def weights_paths(config: Mapping[str, Any]) -> dict[str, Any]:
    """Where the weights come from that a training started from: the one path that makes the experiment."""
    return {key: value for key, value in leaves(config) if key.startswith("backbone.weights_path")}


def is_run(names: set[str]) -> bool:
    """Whether a folder that holds these names is that of a run."""
    return RECORD in names or (CONFIG in names and bool({METRICS, RESULTS} & names))


def read_folder(folder: Path, name: str) -> PageRun:
    """Reads a run's folder. What is damaged beside the config is left out, and named in `problems`.

    Args:
        folder: One that `is_run` tells.
        name: What to call it.

    Raises:
        ValueError: The config is damaged.
        OSError: It cannot be read, or is not there yet.
    """
    problems: list[str] = []

    def tried(file: str, read: Callable[[Path], Value], missing: Value) -> Value:
        path = folder / file
        try:
            return read(path) if path.exists() else missing
        except (ValueError, OSError, yaml.YAMLError) as error:
            problems.append(f"{name}/{file}: {' '.join(str(error).split())}")
            return missing

    config = _config(folder / CONFIG)
    record: dict[str, Any] = tried(RECORD, _record, {})
    earlier: dict[str, Any] = {} if record else tried(".hydra/hydra.yaml", _hydra, {})
    untested: tuple[dict[str, float | None], str | None] = ({}, None)
    test, commit = tried(RESULTS, _test, untested)
    state = record.get("state") or (DONE if (folder / SUMMARY).exists() or test else UNFINISHED)
    overrides = record.get("overrides") or earlier.get("overrides") or []
    return PageRun(
        path=folder,
        name=name,
        state=str(state),
        error=record.get("error"),
        config=config,
        choices=record.get("choices") or earlier.get("choices") or {},
        overridden=frozenset(_key(override) for override in overrides),
        commit=record.get("git_commit") or commit,
        metrics=tried(METRICS, read_metrics, NOTHING),
        test=test,
        problems=tuple(problems),
    )


def _config(path: Path) -> Mapping[str, Any]:
    try:
        config = yaml.load(path.read_bytes(), Loader=_LOADER)
    except yaml.YAMLError as error:
        raise ValueError(f"{CONFIG} is damaged: {' '.join(str(error).split())}") from error
    try:
        config["dataset"]["classes"], config["trainer"]["monitor"], config["seed"] + 0
    except (TypeError, KeyError) as error:
        raise ValueError(f"{CONFIG} is not the whole config of a run ({type(error).__name__}: {error})") from error
    return config


def _record(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_bytes())
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"not of format {FORMAT}")
    return found


def _hydra(path: Path) -> dict[str, Any]:
    """Choices and overrides of a run from before there were records."""
    found = yaml.load(path.read_bytes(), Loader=_LOADER)
    try:
        return {"choices": found["hydra"]["runtime"]["choices"], "overrides": found["hydra"]["overrides"]["task"]}
    except (TypeError, KeyError) as error:
        raise ValueError(f"no such file of Hydra's ({error})") from error


def _test(path: Path) -> tuple[dict[str, float | None], str | None]:
    scores: Mapping[str, Mapping[str, Any]] = read_run(path).scores
    found = {f"test/{branch}/{name}": values[name] for branch, values in scores.items() for name in MEANS}
    for branch, values in scores.items():
        of_classes = values.get("classes", {})
        names = class_metrics(f"test/{branch}/iou", list(of_classes))
        found |= {names[label]: of_class["iou"] for label, of_class in of_classes.items()}
    return found, json.loads(path.read_bytes()).get("git_commit")


def _key(override: str) -> str:
    """``selection.prop`` of ``+selection.prop=0.5``; a group's slash counts as a dot."""
    return re.split("[=@]", override.lstrip("+~"), maxsplit=1)[0].replace("/", ".")
