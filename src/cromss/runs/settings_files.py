"""Writes the settings of a run and of a sweep beside what comes of them: whole, and without credentials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cromss.io.atomic import write_file
from cromss.io.redact import redact_values
from cromss.runs.names import CONFIG, HYDRA, SWEEP_CONFIG


def save_settings(
    folder: Path, config: Mapping[str, Any], composed: DictConfig, hydra: Any, overrides: Sequence[str]
) -> None:
    """Writes `config.yaml`, and in `.hydra` what Hydra itself would write there before it is known that a run starts.

    Args:
        folder: The run's.
        config: Resolved.
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
    """Writes the config of a sweep where Hydra does, without the credentials that Hydra leaves in it.

    Args:
        folder: The sweep's.
        config: With that of Hydra itself.

    Raises:
        OSError: It cannot be written.
    """
    _write(folder / SWEEP_CONFIG, OmegaConf.to_container(config))


def _write(path: Path, content: Any) -> None:
    write_file(path, OmegaConf.to_yaml(OmegaConf.create(redact_values(content))).encode())
