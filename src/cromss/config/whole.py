"""The schema of the whole config of `cromss train`: the class of each node."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any

from pydantic import ConfigDict

from cromss.config import backbone, dataset, parts, trainer
from cromss.config.choices import MODALITIES
from cromss.config.instantiation import signature_problems
from cromss.config.reading import Reading, at
from cromss.config.settings import (
    OPTIONAL,
    Means,
    Part,
    PathText,
    Problem,
    Seed,
    Settings,
    Text,
    fields_of,
    find_problems,
)
from cromss.config.words import OneOf, as_typed
from cromss.io.plain import shown

Group = Annotated[dict[str, Any], Means("keys with values, see `cromss train --help`")]

Parts = Annotated[
    dict[str, Part],
    Means("names, each with keys and values, among them _target_"),
]


class Row(Settings):
    """The row of the paper's tables that a run repeats; without all three values it repeats none."""

    table: Text = OPTIONAL
    """Name of the table; an option of `experiments` sets it."""

    input: Annotated[str, OneOf(MODALITIES)] = OPTIONAL
    """Modality; an option of `init` sets it."""

    weights: Text = OPTIONAL
    """Name of the weights; an option of `init` sets it."""


class Run(Settings):
    """All settings of a run."""

    dataset: Group
    backbone: Group
    fusion: Group
    loss: Group
    selection: Group
    smoothing: Group
    trainer: Group

    callbacks: Parts
    """Callbacks of Lightning beside the project's own, by name."""

    logger: Parts
    """Loggers of Lightning beside the run's own metrics.csv, by name."""

    row: Row | None
    """Row of the paper's tables that this run repeats, for ``cromss report``."""

    weights_folder: PathText
    """Folder of the published weights that the options of `init` start from."""

    seed: Seed
    """Seed of weights, order, seasons and augmentation."""


class OwnDataset(dataset.View):
    """A dataset with a custom reader, which alone knows its further keys."""

    model_config = ConfigDict(extra="allow")


PARTS: Mapping[str, Mapping[str, type[Settings]]] = {
    "dataset.reader": {
        "cromss.dataset.open_dataset": dataset.PublishedSource,
        "cromss.dataset.FolderReader": dataset.FolderSource,
        "cromss.synthetic.open_synthetic": dataset.SyntheticSource,
        "cromss.synthetic.open_synthetic_exact": dataset.SyntheticSource,
    },
    "backbone.network": {"cromss.backbone.Backbone": backbone.Network},
    "backbone.start": {"cromss.weights.Weights": backbone.Start},
    "backbone.freezing": {"cromss.backbone.Freezing": backbone.Freeze},
    "fusion": {
        "cromss.fusion.MidFusion": parts.Pair,
        "cromss.fusion.LateFusion": parts.Pair,
        "cromss.fusion.SingleFusion": parts.Single,
    },
    "fusion.backbone": {"cromss.backbone.Backbone": backbone.Network},
    "loss": {"cromss.loss.Objective": parts.Loss},
    "selection": {
        "cromss.selection.CrossModalSelection": parts.CrossModal,
        "cromss.selection.NoSelection": parts.Nothing,
    },
    "smoothing": {
        "cromss.smoothing.LabelSmoothing": parts.Smoothing,
        "cromss.smoothing.UniformSmoothing": parts.Uniform,
        "cromss.smoothing.NoSmoothing": parts.Nothing,
    },
    "trainer.optimizer": {
        "torch.optim.Adam": trainer.Adam,
        "torch.optim.AdamW": trainer.Adam,
        "torch.optim.SGD": trainer.SGD,
    },
    "trainer.scheduler": {
        "cromss.trainer.optim.cosine": trainer.Cosine,
        "cromss.trainer.optim.exponential": trainer.Exponential,
        "cromss.trainer.optim.plateau": trainer.Plateau,
        "cromss.trainer.optim.step": trainer.Step,
        "cromss.trainer.optim.constant": trainer.Constant,
    },
}
"""Node that describes an object -> its class or function (``_target_``) -> the class of its settings.

Targets that are not in the table are custom ones, and are compared with their signatures.
"""

TRAIN: Sequence[tuple[str, type[Settings]]] = (
    ("", Run),
    *(("dataset", model) for model in (dataset.Nol, dataset.Downstream, dataset.Folder, dataset.SyntheticExact)),
    ("backbone", backbone.BackboneGroup),
    ("trainer", trainer.Trainer),
    *(
        (node, model)
        for node in PARTS
        if node.split(".")[0] not in ("dataset", "backbone")
        for model in PARTS[node].values()
    ),
)
"""Groups and the classes that describe them; what a dataset or backbone is built from, keys of the group set."""

FACTORIES = ("trainer.optimizer", "trainer.scheduler")
"""Nodes of functions that are called later, with one more argument (``_partial_: true``)."""

OPEN = ("callbacks", "logger")
"""Groups with any number of parts, each under a name; one with ``_partial_: true`` is called with the run, too."""


def dataset_model(values: Mapping[str, Any]) -> type[Settings]:
    """The class of the settings of the dataset group, by its reader.

    Args:
        values: Values of the whole config.
    """
    reader = at(values, "dataset.reader")
    target = reader.get("_target_") if isinstance(reader, Mapping) else None
    if target == "cromss.dataset.open_dataset":
        return dataset.Downstream if "kind" in reader else dataset.Nol
    known: dict[Any, type[Settings]] = {
        "cromss.dataset.FolderReader": dataset.Folder,
        "cromss.synthetic.open_synthetic": dataset.Synthetic,
        "cromss.synthetic.open_synthetic_exact": dataset.SyntheticExact,
    }
    return known.get(target, OwnDataset) if isinstance(target, str) else OwnDataset


def schema_problems(reading: Reading, own_parts: bool = True) -> list[Problem]:
    """Finds values that do not fit the schema; of keys that refer to one key, only that one is named.

    Args:
        reading: The whole config.
        own_parts: Whether custom parts are imported and compared with their signatures.
    """
    found: dict[str, Problem] = {}
    unread = (*reading.missing, *reading.unreadable)
    for problem in _problems(reading, own_parts):
        key = reading.origin(problem.key)
        # References to a missing value, and tables of them, are reported as missing.
        if any(f"{key}.".startswith(f"{part}.") or part.startswith(f"{key}.") for part in unread):
            continue
        if key != problem.key:
            problem = Problem(key, problem.sentence.replace(problem.key, key))
        found.setdefault(key, problem)
    return [problem for key, problem in found.items() if not _follows(reading.expressions.get(key, ""), found)]


def _follows(expression: str, wrong: Collection[str]) -> bool:
    """Whether a value is computed from keys that are wrong themselves; ``${a.${b}}`` names all keys below ``a``."""
    names = re.findall(r"[\w.]+", expression)
    return any(key == name or (name.endswith(".") and key.startswith(name)) for name in names for key in wrong)


def _problems(reading: Reading, own_parts: bool) -> Iterator[Problem]:
    values = reading.values
    yield from find_problems(Run, values)
    groups: dict[str, type[Settings]] = {
        "dataset": dataset_model(values),
        "backbone": backbone.BackboneGroup,
        "trainer": trainer.Trainer,
    }
    for key, model in groups.items():
        if isinstance(group := values.get(key), Mapping):
            yield from find_problems(model, group, key)
    for key in PARTS:
        if isinstance(node := at(values, key), Mapping):
            yield from part_problems(key, node, key, own_parts)
    for key in OPEN:
        if isinstance(entries := values.get(key), Mapping):
            for name, node in entries.items():
                if isinstance(node, Mapping):
                    yield from part_problems(key, node, f"{key}.{name}", own_parts)
    yield from _test_problems(values)
    yield from _unused(reading)


def part_problems(node: str, settings: Mapping[str, Any], prefix: str, own_parts: bool = True) -> Iterator[Problem]:
    """Finds mistakes in the settings of an object that is built.

    Args:
        node: A key of `PARTS`, or one of `OPEN`.
        settings: With ``_target_``.
        prefix: Dotted key of the settings for the messages.
        own_parts: See `schema_problems`.
    """
    if "_target_" not in settings:
        words = "must be keys with values, among them _target_: choose an option of the group instead"
        yield Problem(prefix, f"{prefix}={shown(as_typed(settings))} {words}")
        return
    target = settings["_target_"]
    partial = settings.get("_partial_", False)
    if not isinstance(target, str) or not target:
        yield Problem(
            f"{prefix}._target_",
            f"{prefix}._target_={shown(as_typed(target))} must be the dotted name of a class or function",
        )
    elif not isinstance(partial, bool) or (node not in OPEN and partial is not (node in FACTORIES)):
        wanted = as_typed(node in FACTORIES)
        yield Problem(f"{prefix}._partial_", f"{prefix}._partial_={shown(as_typed(partial))} must be {wanted}")
    elif (model := PARTS.get(node, {}).get(target)) is not None:
        own = {name: value for name, value in settings.items() if name not in ("_target_", "_partial_")}
        yield from find_problems(model, own, prefix)
    elif own_parts:
        yield from signature_problems(target, settings, prefix, is_factory=partial)


def _test_problems(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Checks the test reader, which is that of the training with some settings replaced."""
    reader, changes = at(values, "dataset.reader"), at(values, "dataset.test")
    if not isinstance(reader, Mapping) or not isinstance(changes, Mapping) or None in changes.values():
        return
    changed = {f"dataset.test.{name}" for name in changes}
    for problem in part_problems("dataset.reader", {**reader, **changes}, "dataset.test"):
        if problem.key in changed or any(problem.key.startswith(f"{key}.") for key in changed):
            yield problem


def _unused(reading: Reading) -> Iterator[Problem]:
    """Finds further keys of a custom dataset that nothing refers to."""
    group, target = reading.values.get("dataset"), at(reading.values, "dataset.reader._target_")
    is_own = dataset_model(reading.values) is OwnDataset and isinstance(target, str)
    if not is_own or not isinstance(group, Mapping):
        return
    for name in group:
        key = f"dataset.{name}"
        if name not in fields_of(dataset.View) and not reading.is_referred_to(key):
            yield Problem(key, f"There is no use for the key {key}: dataset.reader does not refer to it")
