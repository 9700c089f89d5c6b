"""A run's config with what it was composed of; and that of a test, which starts from how the checkpoint was trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from cromss.trainer.resume import load_checkpoint

_NOT_KEPT = ("trainer.checkpoint", "trainer.predictions", "trainer.resume", "trainer.test_only")
"""Keys that say what one call did, not how the network was trained."""


@dataclass(frozen=True)
class Composed:
    """A config and where it comes from.

    Attributes:
        cfg: The config.
        choices: Group -> chosen option.
        overrides: What the command line said.
    """

    cfg: DictConfig
    choices: Mapping[str, str]
    overrides: Sequence[str]

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The config as plain dictionaries, lists and numbers."""
        plain: Any = OmegaConf.to_container(self.cfg, resolve=True)
        return plain


def as_trained(asked: Composed) -> Composed:
    """Composes the config of a test anew: as the checkpoint was trained, and on top of that what was asked for.

    Args:
        asked: Composed for `trainer.test_only`, with a `trainer.checkpoint`.

    Raises:
        ValueError: The checkpoint cannot be read, or its overrides mean nothing any more.
    """
    path = Path(str(asked.cfg.trainer.checkpoint)).expanduser()
    if not path.is_file():
        raise ValueError(f"trainer.checkpoint={path} is no file: give the path of a checkpoint")
    saved: list[str] = load_checkpoint(path).get("overrides", [])
    said = {key for key, _ in _by_key(asked.overrides)}
    kept = [override for key, override in _by_key(saved) if key not in (*said, *_NOT_KEPT)]
    try:
        kept = _known(kept, said, asked)
        whole = compose("config", [*kept, *asked.overrides], return_hydra_config=True)
    except HydraException as error:
        raise ValueError(
            f"{path} was trained with {' '.join(kept)}, which this version does not take together with "
            f"{' '.join(asked.overrides)}: {error}"
        ) from error
    choices = {str(group): str(option) for group, option in whole.hydra.runtime.choices.items()}
    own = OmegaConf.masked_copy(whole, [str(key) for key in whole if key != "hydra"])
    return Composed(own, choices, asked.overrides)


def _known(kept: Sequence[str], said: Collection[str], asked: Composed) -> list[str]:
    """Leaves out settings that the option asked for of a group does not have, such as the size of synthetic patches."""
    groups = {key for key in said if key in asked.choices}
    below = {text: key for key, text in _by_key(kept) if key.split(".")[0] in groups}
    if not below:
        return list(kept)
    there = compose("config", [*(text for text in kept if text not in below), *asked.overrides])
    return [text for text in kept if text not in below or _has(there, below[text])]


def _has(cfg: DictConfig, key: str) -> bool:
    group, _, name = key.rpartition(".")
    node = OmegaConf.select(cfg, group)
    # `name in node` would be False for a value that is yet to be given.
    return isinstance(node, DictConfig) and name in list(node.keys())


def _by_key(overrides: Sequence[str]) -> Iterator[tuple[str, str]]:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return ((override.key_or_group, text) for override, text in zip(parsed, overrides, strict=True))
