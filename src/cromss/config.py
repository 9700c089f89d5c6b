"""What Hydra needs to know of this project, and the checks that span several groups."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException, InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

LONGEST_NAME = 120
"""Characters of a run's name; file systems allow 255 for a folder."""


class UserError(CompactHydraException, ValueError):
    """A mistake in what the user asked for: shown as its message alone, without a stack trace."""


def register_resolvers() -> None:
    """Makes the functions known that the YAML files call."""
    resolvers: dict[str, Callable[..., Any]] = {
        "cromss.run_name": run_name,
        "cromss.run_folder": run_folder,
        "cromss.band_count": _band_count,
        "cromss.classes": _classes,
        "cromss.colours": _colours,
        "cromss.len": len,
    }
    for name, function in resolvers.items():
        # Cached: a folder's name, once given, must not change when the folder comes to exist.
        OmegaConf.register_new_resolver(name, function, replace=True, use_cache=name == "cromss.run_folder")


def run_name(overrides: str) -> str:
    """Names a run after what differs from the defaults.

    Args:
        overrides: Comma-separated ``key=value`` pairs, as Hydra's ``override_dirname`` gives them.

    Returns:
        A file name, the same for the same overrides: ``"defaults"`` without any. Of paths only the last part is kept,
        and a long name is cut and ends in a hash of the whole.
    """
    shortened = ",".join(_without_folders(part) for part in overrides.split(","))
    name = re.sub(r"[^\w.,=+-]", "_", shortened) or "defaults"
    # The name drops folders and signs, so whatever it dropped must tell runs apart by other means.
    lossless = name in (overrides, "defaults") and len(name) <= LONGEST_NAME
    digest = hashlib.sha256(overrides.encode()).hexdigest()[:8]
    return name if lossless else f"{name[:LONGEST_NAME]}-{digest}"


def run_folder(root: str, overrides: str, resume: str | None) -> str:
    """Folder name of a single run below `root`, which never overwrites another run.

    Args:
        root: Where runs lie.
        overrides: See `run_name`.
        resume: ``"auto"`` goes on in the newest folder of this name; anything else takes the first unused one.

    Returns:
        ``name``, ``name-2``, ``name-3``, ...
    """
    name = run_name(overrides)
    used, number = [], 1
    while (Path(root) / _numbered(name, number)).exists():
        used.append(_numbered(name, number))
        number += 1
    return used[-1] if used and resume == "auto" else _numbered(name, number)


def suggest_keys(cfg: DictConfig, overrides: Sequence[str]) -> list[str]:
    """For each override whose key does not exist, says which keys come close.

    Args:
        cfg: The config without the overrides.
        overrides: ``key=value`` strings as typed.

    Returns:
        One sentence for each unknown key.
    """
    known = list(_keys(cfg))
    by_last_part: dict[str, list[str]] = {}
    for key in known:
        by_last_part.setdefault(key.rsplit(".", 1)[-1], []).append(key)
    sentences = []
    for override in overrides:
        key = override.split("=", 1)[0].lstrip("+~")
        if "/" in key or key in known:
            continue
        close = difflib.get_close_matches(key, known, n=3) + by_last_part.get(key.rsplit(".", 1)[-1], [])
        hint = f"did you mean {' or '.join(dict.fromkeys(close))}?" if close else "see `python train.py --cfg job`"
        sentences.append(f"There is no key {key}: {hint}")
    return sentences


def check(cfg: DictConfig) -> None:
    """Looks for settings that contradict each other or are out of range, before anything is built.

    Args:
        cfg: The whole config.

    Raises:
        UserError: One message with every problem found, each with its cure.
    """
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        # The other rules look at values, so they come after.
        raise UserError(
            "This run cannot start: " + "; ".join(f"{key} has no default: say {key}=..." for key in missing)
        )
    problems = [problem for rule in RULES for problem in rule(cfg)]
    if problems:
        raise UserError("\n".join(["This run cannot start:", *(f"  - {problem}" for problem in problems)]))


def _check_modalities(cfg: DictConfig) -> Iterator[str]:
    single = "modality" in cfg.fusion
    if single and "prop" in cfg.selection:
        yield "selection=cromss lets two modalities judge each other and fusion=single has one: say selection=none"
    if single and cfg.loss.consistency != "none":
        yield (
            f"loss.consistency={cfg.loss.consistency} compares two modalities and fusion=single has one: "
            "say loss.consistency=none"
        )


def _check_parts(cfg: DictConfig) -> Iterator[str]:
    """Small parts check their own settings; building them costs nothing."""
    for group in ("selection", "smoothing", "loss"):
        try:
            instantiate(cfg[group])
        except InstantiationException as error:
            yield f"{group}: {error.__cause__ or error}"


def _check_ranges(cfg: DictConfig) -> Iterator[str]:
    shares = {"dataset.flip": 1.0, "dataset.rotate": 1.0, "dataset.val_fraction": 0.99}
    for key, high in shares.items():
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int | float) or not 0 <= value <= high:
            yield f"{key}={value} must lie in [0, {high:g}]"
    crop = cfg.dataset.crop
    if crop != "auto" and (not isinstance(crop, int) or crop < 1):
        yield f"dataset.crop={crop} must be a whole number of pixels, or auto"
    for key in ("epochs", "ramp_epochs", "batch_size", "checkpoint_every", "panels_every", "panel_samples"):
        value = cfg.trainer[key]
        if not isinstance(value, int) or value < 1:
            yield f"trainer.{key}={value} must be a whole number of at least 1"
    if not isinstance(cfg.trainer.workers, int) or cfg.trainer.workers < 0:
        yield f"trainer.workers={cfg.trainer.workers} must be a whole number of at least 0"
    if not isinstance(cfg.seed, int) or not 0 <= cfg.seed < 2**31:
        yield f"seed={cfg.seed} must be a whole number in [0, 2147483647]"


def _check_monitor(cfg: DictConfig) -> Iterator[str]:
    if cfg.dataset.val_fraction:
        return
    for key in ("trainer.monitor", "trainer.scheduler.monitor"):
        if str(OmegaConf.select(cfg, key)).startswith("val/"):
            cure = "trainer.monitor=train/loss" if key == "trainer.monitor" else "trainer/scheduler=none"
            yield f"dataset.val_fraction=0 leaves no validation, which {key} watches: say {cure}"


def _check_colours(cfg: DictConfig) -> Iterator[str]:
    if len(cfg.dataset.colours) < len(cfg.dataset.classes):
        yield (
            f"dataset.colours names {len(cfg.dataset.colours)} colours for {len(cfg.dataset.classes)} dataset.classes: "
            "name one a class"
        )


def _check_wandb(cfg: DictConfig) -> Iterator[str]:
    allowed = ("auto", "online", "offline", "disabled")
    if cfg.trainer.wandb not in allowed:
        yield f"trainer.wandb={cfg.trainer.wandb} must be one of {', '.join(allowed)}"


Rule = Callable[[DictConfig], Iterator[str]]
RULES: tuple[Rule, ...] = (
    _check_modalities,
    _check_parts,
    _check_ranges,
    _check_monitor,
    _check_colours,
    _check_wandb,
)


# The resolvers import late: the dataset room brings torch along, which help and mistyped keys need not wait for.


def _classes(table: str) -> list[str]:
    from cromss.dataset.classes import CLASSES

    return list(CLASSES[table])


def _colours(table: str) -> list[str]:
    from cromss.dataset.classes import CLASSES

    return list(CLASSES[table].values())


def _band_count(bands: int | str) -> int:
    from cromss.dataset.bands import band_positions

    return len(band_positions("s2", bands))


def _without_folders(pair: str) -> str:
    key, separator, value = pair.partition("=")
    return f"{key}{separator}{value.rstrip('/').rsplit('/', 1)[-1]}"


def _numbered(name: str, number: int) -> str:
    return name if number == 1 else f"{name}-{number}"


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """All keys of a config in dotted form, groups and leaves."""
    for key in node:
        yield f"{prefix}{key}"
        if (
            OmegaConf.is_dict(node)
            and not OmegaConf.is_missing(node, key)
            and not OmegaConf.is_interpolation(node, key)
        ):
            child = node[key]
            if OmegaConf.is_dict(child):
                yield from _keys(child, f"{prefix}{key}.")
