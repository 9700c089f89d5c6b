"""Reads and writes the settings of a run: whole, and without credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from omegaconf import DictConfig, OmegaConf
from pydantic import Field, StringConstraints

from cromss.io.atomic import write_file
from cromss.io.earlier import of_this_version
from cromss.io.plain import NotPlainError, Record, parse
from cromss.io.redact import redact_values
from cromss.runs.files import Text, read_yaml_values
from cromss.runs.names import CONFIG, HYDRA, SWEEP_CONFIG

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
    """The keys that every reader needs; all others may hold any plain values."""

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
        Plain dictionaries, lists, finite numbers and printable text by the names of this version, with at least the
        settings that `cromss.runs.results.settings_of` takes, and ``dataset.classes``, ``dataset.colours``,
        ``trainer.monitor``, ``backbone.weights`` and ``backbone.weights_path``.

    Raises:
        NotPlainError: It is damaged, or not the whole config of a run; the message is the reason alone.
        OSError: It cannot be read.
    """
    config = of_this_version(read_yaml_values(path))
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


def resolved(config: DictConfig) -> dict[str, Any]:
    """A config as plain dictionaries, lists and numbers, to be stored and compared: without credentials."""
    plain: dict[str, Any] = redact_values(OmegaConf.to_container(config, resolve=True))
    return plain


def save_settings(
    folder: Path, config: Mapping[str, Any], composed: DictConfig, hydra: Any, overrides: Sequence[str]
) -> None:
    """Writes `config.yaml`, and in `.hydra` the files that Hydra itself would write before all checks have passed.

    Args:
        folder: Folder of the run.
        config: The resolved config.
        composed: The config with its references.
        hydra: The config of Hydra itself.
        overrides: From the command line.

    Raises:
        OSError: The files cannot be written; earlier ones are unharmed.
    """
    _write(folder / CONFIG, config)
    (folder / HYDRA).mkdir(exist_ok=True)
    _write(folder / HYDRA / "config.yaml", OmegaConf.to_container(composed))
    _write(folder / HYDRA / "hydra.yaml", {"hydra": OmegaConf.to_container(hydra)})
    _write(folder / HYDRA / "overrides.yaml", list(overrides))


def save_sweep_settings(folder: Path, config: DictConfig) -> None:
    """Writes the config of a sweep to the file that Hydra uses, without the credentials that Hydra would leave in it.

    Args:
        folder: Folder of the sweep.
        config: Its config, with that of Hydra itself.

    Raises:
        OSError: It cannot be written.
    """
    _write(folder / SWEEP_CONFIG, OmegaConf.to_container(config))


def _write(path: Path, content: Any) -> None:
    write_file(path, OmegaConf.to_yaml(OmegaConf.create(redact_values(content))).encode())
