"""One run as its folder tells it: settings, state, metrics by epoch, what a test found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cromss.io.plain import NotPlainError, printable
from cromss.report.page.metrics import NOTHING, Metrics, class_metrics, read_metrics
from cromss.report.result_file import Run, read_run
from cromss.runs.config import read_config, read_hydra
from cromss.runs.identity import config_hash, leaves
from cromss.runs.names import CONFIG, HYDRA, METRICS, RECORD, RESULTS, SUMMARY
from cromss.runs.record import load_record
from cromss.runs.results import MEANS

DONE = "done"
UNFINISHED = "unfinished"
"""State of a run without a record that did not come to its last words."""

HYDRA_FILE = f"{HYDRA}/hydra.yaml"

Value = TypeVar("Value")


@dataclass(frozen=True)
class PageRun:
    """What the page needs of a run.

    Attributes:
        path: The folder.
        name: The folder, from where was searched.
        state: Of `cromss.runs.record.RunRecord` or `cromss.runs.state.RunState`, or `UNFINISHED`.
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
        try:
            return read(folder / file)
        except (FileNotFoundError, NotADirectoryError):
            return missing
        except (ValueError, OSError) as error:
            problems.append(f"{printable(name)}/{file}: {printable(' '.join(str(error).split()))}")
            return missing

    try:
        config = read_config(folder / CONFIG)
    except NotPlainError as error:
        raise NotPlainError(f"{CONFIG} is damaged: {error}") from error
    record = tried(RECORD, load_record, None)
    nothing: tuple[dict[str, str | None], list[str]] = ({}, [])
    choices, overrides = (record.choices, record.overrides) if record else tried(HYDRA_FILE, read_hydra, nothing)
    tested = tried(RESULTS, read_run, None)
    is_done = (folder / SUMMARY).exists() or tested is not None
    return PageRun(
        path=folder,
        name=printable(name),
        state=record.state if record else DONE if is_done else UNFINISHED,
        error=record.error if record else None,
        config=config,
        choices={group: option for group, option in choices.items() if option is not None},
        overridden=frozenset(_key(override) for override in overrides),
        commit=(record.git_commit if record else None) or (tested.git_commit if tested else None),
        metrics=tried(METRICS, read_metrics, NOTHING),
        test={} if tested is None else _test(tested),
        problems=tuple(problems),
    )


def _test(tested: Run) -> dict[str, float | None]:
    found = {f"test/{branch}/{name}": values[name] for branch, values in tested.scores.items() for name in MEANS}
    for branch, values in tested.scores.items():
        names = class_metrics(f"test/{branch}/iou", list(values["classes"]))
        found |= {names[label]: of_class["iou"] for label, of_class in values["classes"].items()}
    return found


def _key(override: str) -> str:
    """``selection.prop`` of ``+selection.prop=0.5``; a group's slash counts as a dot."""
    return re.split("[=@]", override.lstrip("+~"), maxsplit=1)[0].replace("/", ".")
