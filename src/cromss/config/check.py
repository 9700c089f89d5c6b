"""Checks of a whole config before any work: what spans several groups, and what is mistyped."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError

from cromss.config.errors import UserError
from cromss.config.overrides import keys_in
from cromss.job_shape import check_tasks


def check(cfg: DictConfig, devices: bool = True) -> None:
    """Looks for settings that contradict each other or are out of range, before anything is built.

    Args:
        cfg: The whole config.
        devices: Whether the devices are to be those of this machine.

    Raises:
        UserError: One message with every problem found, each with its cure.
    """
    rules = (*RULES, *HERE) if devices else RULES
    try:
        # The ranges of values that are missing or of another kind are not worth a look.
        problems = _missing(cfg) or list(_check_kinds(cfg)) or [problem for rule in rules for problem in rule(cfg)]
    except InterpolationResolutionError as error:
        # Tables by decoder, such as that of crops, have no entry for an unknown one.
        problems = list(_unbuildable(cfg, ("backbone.network",))) or [str(error.__cause__ or error)]
    if problems:
        raise UserError("\n".join(["This run cannot start:", *(f"  - {problem}" for problem in problems)]))


def _missing(cfg: DictConfig) -> list[str]:
    # Not OmegaConf.missing_keys, which follows references and stumbles over one to a missing value.
    unset = [key for key in keys_in(cfg) if OmegaConf.is_missing(*_parent_and_name(cfg, key))]
    return [f"{key} has no default: say {key}=..." for key in unset]


def _parent_and_name(cfg: DictConfig, key: str) -> tuple[DictConfig, str]:
    parent, _, name = key.rpartition(".")
    return (OmegaConf.select(cfg, parent) if parent else cfg), name


def _check_modalities(cfg: DictConfig) -> Iterator[str]:
    single = "modality" in cfg.fusion
    if single and "prop" in cfg.selection:
        yield "selection=cromss lets two modalities judge each other and fusion=single has one: say selection=none"
    if single and cfg.loss.consistency != "none":
        yield (
            f"loss.consistency={cfg.loss.consistency} compares two modalities and fusion=single has one: "
            "say loss.consistency=none"
        )


def _check_kinds(cfg: DictConfig) -> Iterator[str]:
    """Compares values with the annotations of what they are handed to: YAML 1.2 takes off and no for strings."""
    for key, node in _instantiated(cfg):
        target: Any = get_object(node._target_)
        hints = get_type_hints(inspect.getattr_static(target, "__init__") if inspect.isclass(target) else target)
        unresolved: Any = OmegaConf.to_container(node, resolve=False)
        for name in unresolved:
            value = node[name]
            allowed = _scalars(hints.get(name))
            if allowed and not OmegaConf.is_config(value) and not isinstance(value, allowed):
                # `trainer.ramp_epochs`, where the part's own key only refers to it.
                reference = _REFERENCE.fullmatch(str(unresolved[name]))
                kinds = " or ".join(_KINDS[kind] for kind in allowed if kind is not int or float not in allowed)
                yield f"{reference[1] if reference else f'{key}.{name}'}={value} must be {kinds}"
    if not isinstance(cfg.trainer.progress_bar, bool):
        yield f"trainer.progress_bar={cfg.trainer.progress_bar} must be {_KINDS[bool]}"


_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word", type(None): "null"}


def _instantiated(node: DictConfig, prefix: str = "") -> Iterator[tuple[str, DictConfig]]:
    """Every node that Hydra builds something of, by its dotted key."""
    if "_target_" in node:
        yield prefix, node
    for name, child in node.items():
        if isinstance(child, DictConfig):
            yield from _instantiated(child, f"{prefix}.{name!s}".lstrip("."))


def _scalars(hint: Any) -> tuple[type, ...]:
    """The types that an annotation of plain values allows; empty where it allows others, too."""
    allowed = get_args(hint) if isinstance(hint, UnionType) or get_origin(hint) is Union else (hint,)
    if not set(allowed) <= _KINDS.keys():
        return ()
    # A whole number is a number.
    return (*allowed, int) if float in allowed else allowed


def _check_parts(cfg: DictConfig) -> Iterator[str]:
    """Small parts check their own settings; building them costs nothing."""
    keys = ("selection", "smoothing", "loss", "backbone.network", "backbone.start", "backbone.freezing")
    return _unbuildable(cfg, keys)


def _unbuildable(cfg: DictConfig, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        try:
            instantiate(OmegaConf.select(cfg, key))
        except InstantiationException as error:
            yield f"{key.split('.')[0]}: {error.__cause__ or error}"


def _check_ranges(cfg: DictConfig) -> Iterator[str]:
    shares = {"dataset.flip": 1.0, "dataset.rotate": 1.0, "dataset.val_fraction": 0.99}
    for key, high in shares.items():
        value = OmegaConf.select(cfg, key)
        if not isinstance(value, int | float) or not 0 <= value <= high:
            yield f"{key}={value} must lie in [0, {high:g}]"
    crop = cfg.dataset.crop
    if crop != "auto" and (not isinstance(crop, int) or crop < 1):
        yield f"dataset.crop={crop} must be a whole number of pixels, or auto"
    counts = ("epochs", "ramp_epochs", "batch_size", "checkpoint_every", "panels_every", "panel_samples")
    for key in (*counts, "check_finite_every", "limit_batches"):
        value = cfg.trainer[key]
        if key == "limit_batches" and value is None:
            continue
        if not isinstance(value, int) or value < 1:
            yield f"trainer.{key}={value} must be a whole number of at least 1"
    if not isinstance(cfg.trainer.workers, int) or cfg.trainer.workers < 0:
        yield f"trainer.workers={cfg.trainer.workers} must be a whole number of at least 0"
    if not isinstance(cfg.seed, int) or not 0 <= cfg.seed < 2**31:
        yield f"seed={cfg.seed} must be a whole number in [0, 2147483647]"


def _check_devices(cfg: DictConfig) -> Iterator[str]:
    import torch

    wanted, there = cfg.trainer.accelerator, torch.cuda.device_count()
    if wanted in ("gpu", "cuda") and not there:
        yield f"trainer.accelerator={wanted} and torch sees no GPU: say trainer/hardware=cpu, or look at nvidia-smi"
    elif wanted in ("gpu", "cuda") and isinstance(cfg.trainer.devices, int) and cfg.trainer.devices > there:
        yield f"trainer.devices={cfg.trainer.devices} and torch sees {there} GPU(s): lower trainer.devices"


def _check_batch_norm(cfg: DictConfig) -> Iterator[str]:
    wanted = cfg.trainer.sync_batchnorm
    if not isinstance(wanted, bool):
        yield f"trainer.sync_batchnorm={wanted} must be {_KINDS[bool]}"
    elif wanted and cfg.trainer.accelerator == "cpu":
        yield (
            "trainer.sync_batchnorm=true works between GPUs, and trainer.accelerator=cpu: say "
            "trainer.sync_batchnorm=false, or trainer/hardware=ddp"
        )


def _check_choices(cfg: DictConfig) -> Iterator[str]:
    from cromss.dataset.own_statistics import STATISTICS
    from cromss.types import MODALITIES

    choices: dict[str, tuple[str | None, ...]] = {
        "dataset.modality": MODALITIES,
        "dataset.validate": ("centre", "whole"),
        "dataset.evaluate": ("centre", "whole"),
        "dataset.statistics": STATISTICS,
        "trainer.test": (None, "last", "best"),
        "trainer.predictions": ("none", "png", "tif"),
        "trainer.decoder_rates": ("equal", "rising", "falling"),
    }
    for key, allowed in choices.items():
        value = OmegaConf.select(cfg, key)
        if value not in allowed:
            yield f"{key}={value} must be one of {', '.join(map(str, allowed)).replace('None', 'null')}"
    samples = cfg.dataset.train_samples
    if samples is not None and (not isinstance(samples, int) or samples < 1):
        yield f"dataset.train_samples={samples} must be a whole number of at least 1, or null for all"


def _check_test(cfg: DictConfig) -> Iterator[str]:
    if not isinstance(cfg.trainer.test_only, bool):
        yield f"trainer.test_only={cfg.trainer.test_only} must be {_KINDS[bool]}"
    elif cfg.trainer.test_only and cfg.trainer.checkpoint is None:
        yield "trainer.test_only=true tests a checkpoint: say trainer.checkpoint=PATH"
    elif cfg.trainer.checkpoint is not None and not cfg.trainer.test_only:
        yield (
            f"trainer.checkpoint={cfg.trainer.checkpoint} is for trainer.test_only=true: to start from its weights say "
            "backbone.weights=cromss backbone.weights_path=PATH, to train on trainer.resume=PATH"
        )


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
    for key in ("wandb_init_timeout", "wandb_finish_timeout"):
        if not isinstance(seconds := cfg.trainer[key], int | float) or seconds <= 0:
            yield f"trainer.{key}={seconds} must be a number of seconds above 0"


Rule = Callable[[DictConfig], Iterator[str]]
RULES: tuple[Rule, ...] = (
    _check_modalities,
    _check_parts,
    _check_ranges,
    _check_choices,
    _check_test,
    _check_monitor,
    _check_colours,
    _check_wandb,
)
HERE: tuple[Rule, ...] = (_check_devices, _check_batch_norm, check_tasks)
"""Rules on the machine that trains."""
