"""Composes the config of a run, from a command line or from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cromss.config import UserError, check
from cromss.config.mistakes import check_given_once, explain
from cromss.config.paths import literal_paths, output_folder, typed_overrides
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir
from cromss.io.redact import redact
from cromss.runs.config import resolved


@dataclass(frozen=True)
class Composed:
    """A config and what it was composed from.

    Attributes:
        cfg: The config.
        choices: Group -> chosen option.
        overrides: Overrides of the command line.
        hydra: The config of Hydra itself.
        folder: Folder of the run.
        in_sweep: Whether it is a run of a sweep, all of whose runs were checked before.
    """

    cfg: DictConfig
    choices: Mapping[str, str]
    overrides: Sequence[str]
    hydra: Any = None
    folder: Path = Path()
    in_sweep: bool = False

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The config to be stored and compared, see `cromss.runs.config.resolved`."""
        return resolved(self.cfg)

    @property
    def stored_overrides(self) -> list[str]:
        """The overrides without credentials."""
        return [redact(override) for override in self.overrides]


def compose_config(overrides: Sequence[str] = ()) -> Composed:
    """Composes and checks the config of a run from Python, as `cromss train` does from its command line.

    Args:
        overrides: ``group=option`` and ``key=value``, e.g. ``["trainer=smoke", "fusion=late"]``.

    Returns:
        The argument of `cromss.cli.run.run`.

    Raises:
        UserError: One message with every problem that was found, each with its cure; a `ValueError`.
    """
    register_resolvers()
    check_given_once(overrides)
    texts = literal_paths(overrides, "train")
    try:
        whole = compose_whole(texts)
        composed = Composed(without_hydra(whole), choices_of(whole), texts, whole.hydra, Path(str(whole.hydra.run.dir)))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, texts, "train")) from error
    check(composed.cfg, devices=False, overrides=texts)
    return composed


def compose_whole(overrides: Sequence[str]) -> DictConfig:
    """The config with that of Hydra itself; uses the Hydra of the command line where there is one."""
    there = GlobalHydra.instance().is_initialized()
    with nullcontext() if there else initialize_config_dir(str(config_dir()), version_base="1.3"):
        return compose("config", list(overrides), return_hydra_config=True)


def without_hydra(whole: DictConfig) -> DictConfig:
    """The config without that of Hydra itself."""
    return OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])


def choices_of(whole: DictConfig) -> dict[str, str]:
    """Group -> chosen option."""
    return {str(group): str(option) for group, option in whole.hydra.runtime.choices.items()}


def of_this_process(cfg: DictConfig) -> Composed:
    """The config that Hydra composed from the command line of this process.

    Args:
        cfg: The config as Hydra passes it.
    """
    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    return Composed(cfg, hydra.runtime.choices, typed_overrides(), hydra, output_folder(), in_sweep)
