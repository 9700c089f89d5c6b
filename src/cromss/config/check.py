"""Checks a whole config before any work: the schema, and rules over several groups."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cromss.config.inert import without_effect
from cromss.config.instantiation import instantiate
from cromss.config.launcher import check_tasks
from cromss.config.mistakes import UserError
from cromss.config.reading import Reading
from cromss.config.resolvers import without_torch
from cromss.config.whole import schema_problems
from cromss.io.plain import shown


def check(cfg: DictConfig, devices: bool = True, overrides: Collection[str] = ()) -> None:
    """Checks for unknown keys, values out of range, and settings that contradict each other.

    Only small parts are built, and no file is read.

    Args:
        cfg: The whole config.
        devices: Whether this machine must have the devices.
        overrides: What the user set, ``key=value``; overrides without effect in this config are refused.

    Raises:
        UserError: One message with every problem found, each with its cure.
    """
    own = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]) if "hydra" in cfg else cfg
    problems: list[str] = []
    if "torch" not in sys.modules:
        # Most mistakes are found before torch is imported, which takes seconds.
        with without_torch():
            problems = _problems_of_keys(Reading.of(own), own_parts=False)
            problems = problems or [problem for rule in RULES_WITHOUT_TORCH for problem in rule(own)]
    if not problems:
        reading = Reading.of(own)
        problems = _problems_of_keys(reading)
        problems = problems or [f"{key} cannot be computed: {reason}" for key, reason in reading.unreadable.items()]
    if not problems:
        # Rules assume that all values exist and have the right type.
        rules = (*RULES, *HERE) if devices else RULES
        problems = [problem for rule in rules for problem in rule(own)]
        problems += [inert.sentence for inert in without_effect(reading, overrides) if inert.is_ablation]
    if problems:
        raise UserError("\n".join(["This run cannot start:", *(f"  - {problem}" for problem in problems)]))


def _problems_of_keys(reading: Reading, own_parts: bool = True) -> list[str]:
    missing = [f"{key} has no default: set {key}=..." for key in reading.missing]
    return missing + [problem.sentence for problem in schema_problems(reading, own_parts)]


def _check_modalities(cfg: DictConfig) -> Iterator[str]:
    single = "modality" in cfg.fusion
    if single and "prop" in cfg.selection:
        yield "selection=cromss lets two modalities judge each other and fusion=single has one: set selection=none"
    if single and cfg.loss.get("consistency", "none") != "none":
        yield (
            f"loss.consistency={cfg.loss.consistency} compares two modalities and fusion=single has one: "
            "set loss.consistency=none"
        )


def _check_parts(cfg: DictConfig) -> Iterator[str]:
    """Builds the small parts, which check their own settings."""
    for key in ("selection", "smoothing", "loss", "backbone.network", "backbone.start", "backbone.freezing"):
        try:
            instantiate(OmegaConf.select(cfg, key))
        except (TypeError, ValueError) as error:
            yield _by_key(cfg, key, str(error))


def _by_key(cfg: DictConfig, node: str, message: str) -> str:
    """The error message of a part, with the key of the setting instead of the argument."""
    group, argument = node.split(".")[0], re.match(r"(\w+)=", message)
    written = OmegaConf.to_container(OmegaConf.select(cfg, node), resolve=False)
    if argument is None or not isinstance(written, dict) or argument[1] not in written:
        return f"{group}: {message}"
    reference = re.fullmatch(r"\$\{([\w.]+)\}", str(written[argument[1]]))
    return f"{reference[1] if reference else f'{node}.{argument[1]}'}{message[argument.end() - 1 :]}"


def _check_optimizer(cfg: DictConfig) -> Iterator[str]:
    """Builds an optimiser of one weight and its schedule, which check their own settings."""
    import torch

    key = "trainer.optimizer"
    try:
        optimizer = instantiate(cfg.trainer.optimizer)([torch.nn.Parameter(torch.zeros(1))])
        key = "trainer.scheduler"
        instantiate(cfg.trainer.scheduler)(optimizer)
    except (TypeError, ValueError, RuntimeError) as error:
        yield str(error) if str(error).startswith("trainer.") else f"{key}: {error}"


def _check_derived(cfg: DictConfig) -> Iterator[str]:
    """Checks keys whose values follow from other keys, and which exist because other groups refer to them."""
    from cromss.dataset.bands import band_positions

    dataset = cfg.dataset
    if dataset.num_classes != len(dataset.classes):
        yield (
            f"dataset.num_classes={dataset.num_classes} must be the number of dataset.classes, {len(dataset.classes)}: "
            "set dataset.classes alone"
        )
    for modality, count in dataset.band_counts.items():
        if count != (wanted := len(band_positions(str(modality), dataset.bands))):
            yield (
                f"dataset.band_counts.{modality}={count} must be {wanted}, which dataset.bands={dataset.bands} has: "
                "set dataset.bands alone"
            )
    for key in ("fusion.classes", "loss.num_classes", "smoothing.num_classes"):
        count = OmegaConf.select(cfg, key)
        if count is not None and count != dataset.num_classes:
            yield f"{key}={count} must be the number of dataset.classes, {dataset.num_classes}: leave it out"
    for modality, count in (cfg.fusion.get("bands") or {}).items():
        if count != dataset.band_counts.get(modality):
            yield f"fusion.bands.{modality}={count} must be that of dataset.band_counts: leave it out"


def _check_devices(cfg: DictConfig) -> Iterator[str]:
    import torch

    wanted, there = cfg.trainer.accelerator, torch.cuda.device_count()
    if wanted == "cpu":
        return
    if not there:
        yield f"trainer.accelerator={wanted} and torch sees no GPU: set trainer/hardware=cpu, or check nvidia-smi"
    elif isinstance(cfg.trainer.devices, int) and cfg.trainer.devices > there:
        yield f"trainer.devices={cfg.trainer.devices} and torch sees {there} GPU(s): lower trainer.devices"


def _check_batch_norm(cfg: DictConfig) -> Iterator[str]:
    if cfg.trainer.sync_batchnorm and cfg.trainer.accelerator == "cpu":
        yield (
            "trainer.sync_batchnorm=true works between GPUs, and trainer.accelerator=cpu: set "
            "trainer.sync_batchnorm=false, or trainer/hardware=ddp"
        )


def _check_processes(cfg: DictConfig) -> Iterator[str]:
    settings = cfg.trainer
    if settings.accelerator == "cpu" and not (isinstance(settings.devices, int) and settings.devices > 0):
        yield f"trainer.devices={settings.devices} names GPUs, and trainer.accelerator=cpu: set trainer.devices=1"
    if settings.accelerator == "cpu" and settings.precision == "16-mixed":
        yield "trainer.precision=16-mixed needs a GPU, and trainer.accelerator=cpu: set trainer.precision=bf16-mixed"


def _check_test(cfg: DictConfig) -> Iterator[str]:
    if cfg.trainer.test_only and cfg.trainer.checkpoint is None:
        yield "trainer.test_only=true tests a checkpoint: set trainer.checkpoint=PATH"
    elif cfg.trainer.checkpoint is not None and not cfg.trainer.test_only:
        yield (
            f"trainer.checkpoint={shown(cfg.trainer.checkpoint)} is for trainer.test_only=true: to start from its "
            "weights set backbone.weights=cromss backbone.weights_path=PATH, to continue it set trainer.resume=PATH"
        )


def _check_monitor(cfg: DictConfig) -> Iterator[str]:
    if cfg.dataset.val_fraction:
        return
    for key in ("trainer.monitor", "trainer.scheduler.monitor"):
        if str(OmegaConf.select(cfg, key)).startswith("val/"):
            cure = "trainer.monitor=train/loss" if key == "trainer.monitor" else "trainer/scheduler=none"
            yield f"dataset.val_fraction=0 leaves no validation, which {key} watches: set {cure}"


def _check_colours(cfg: DictConfig) -> Iterator[str]:
    if len(cfg.dataset.colours) < len(cfg.dataset.classes):
        yield (
            f"dataset.colours names {len(cfg.dataset.colours)} colours for {len(cfg.dataset.classes)} dataset.classes: "
            "name one per class"
        )


def _check_packages(cfg: DictConfig) -> Iterator[str]:
    named = {str(node._target_) for node in cfg.logger.values()}
    for package in ("tensorboard", "mlflow"):
        if f"cromss.trainer.loggers.{package}" in named and importlib.util.find_spec(package) is None:
            yield f"logger={package} needs the package {package}, which is not installed: pip install {package}"


def _check_files(cfg: DictConfig) -> Iterator[str]:
    files: Mapping[str, Any] = cfg.dataset.get("files") or {"s2": "any"}
    if not any(files.values()):
        yield "dataset.files names no file: name one for s1, for s2, or for both"


Rule = Callable[[DictConfig], Iterator[str]]
RULES_WITHOUT_TORCH: tuple[Rule, ...] = (_check_modalities, _check_test, _check_monitor, _check_colours, _check_files)
RULES: tuple[Rule, ...] = (
    *RULES_WITHOUT_TORCH,
    _check_parts,
    _check_optimizer,
    _check_derived,
    _check_processes,
    _check_packages,
)
HERE: tuple[Rule, ...] = (_check_devices, _check_batch_norm, check_tasks)
"""Rules about the machine that trains."""
