"""The one reader of a run's `config.yaml`, and of what Hydra noted in runs from before there were records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from cromss.io.plain import NotPlainError, Record, parse
from cromss.runs.files import read_yaml_values
from cromss.runs.text import Text

Colour = Annotated[str, StringConstraints(pattern=r"^#[0-9a-fA-F]{6}$")]


class _Dataset(Record):
    classes: Annotated[list[Text], Field(min_length=1, max_length=255)]
    colours: Annotated[list[Colour], Field(max_length=255)]
    bands: int | Text
    train_samples: int | None


class _Backbone(Record):
    encoder: Text
    decoder: Text
    freeze: Text
    freeze_epochs: int | None
    weights: Text
    weights_path: Text | dict[Text, Text | None] | None


class _Fusion(Record):
    modality: Text | None = None


class _Trainer(Record):
    monitor: Text
    epochs: int


class _Config(Record):
    """As much as every reader needs; the rest may be any plain values."""

    seed: int
    row: dict[Text, Text] | None
    dataset: _Dataset
    backbone: _Backbone
    fusion: _Fusion
    trainer: _Trainer


class _Runtime(Record):
    choices: dict[Text, Text | None]


class _Overrides(Record):
    task: list[Text]


class _Hydra(Record):
    runtime: _Runtime
    overrides: _Overrides


class _HydraFile(Record):
    hydra: _Hydra


def read_config(path: Path) -> dict[str, Any]:
    """Reads the resolved config of a run.

    Returns:
        Plain dictionaries, lists, finite numbers and printable text, with at least the settings that
        `cromss.runs.results.settings_of` takes, and ``dataset.classes``, ``dataset.colours``, ``trainer.monitor``,
        ``backbone.weights`` and ``backbone.weights_path``.

    Raises:
        NotPlainError: It is damaged, or not the whole config of a run; the message is the reason alone.
        OSError: It cannot be read.
    """
    config = read_yaml_values(path)
    try:
        parse(_Config, config)
    except NotPlainError as error:
        raise NotPlainError(f"it is not the whole config of a run: {error}") from error
    return config


def read_hydra(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """Choices and overrides from the `hydra.yaml` of a run.

    Raises:
        NotPlainError: It is damaged; the message is the reason alone.
        OSError: It cannot be read.
    """
    hydra = parse(_HydraFile, read_yaml_values(path)).hydra
    return hydra.runtime.choices, hydra.overrides.task
