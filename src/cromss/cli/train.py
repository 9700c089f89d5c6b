"""`cromss train`: trains, fine-tunes, tests and sweeps.

Nothing slow is imported before the config is checked, so that help and mistakes come back at once.
"""

from __future__ import annotations

import logging
import math
import sys
from contextlib import nullcontext
from pathlib import Path

import hydra
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from cromss.cli.command import interrupted_as, mistakes_shown, one_sentence, prepare_arguments
from cromss.config import UserError, suggest_keys
from cromss.config.paths import HELP as PATHS_HELP
from cromss.config.paths import TRAIN, output_folder, typed_overrides
from cromss.config.reference import help_text
from cromss.config.resolvers import register_resolvers
from cromss.io.package_data import config_dir, option_files
from cromss.runs.lock import TakenError, hold
from cromss.sweep.processes import as_single_run

log = logging.getLogger(__name__)

# At import: a job of a sweep that starts in another process resolves the folders' names there.
register_resolvers()

HELP = """\
Pretrain satellite segmentation encoders on noisy labels (CromSS), fine-tune and test them.

Usage: cromss train [group=option ...] [key=value ...]      # in a checkout also: python train.py ...

Groups and their options (* is the default):
{groups}

Examples:
  cromss train                                                # the embedded dataset, minutes on a CPU
  cromss train fusion=late selection.prop=0.5                 # another fusion, another share of labels kept
  cromss train selection=none smoothing=none                  # the baseline that learns from all labels
  cromss train dataset=nol dataset.path=STORE trainer=smoke   # your own data, a run of seconds
  cromss train trainer=finetune dataset=synthetic_exact backbone.freeze=frozen \\
      backbone.weights=cromss backbone.weights_path=CHECKPOINT        # few exact labels, on a pretrained encoder
  cromss train -m selection.prop=0.3,0.5,0.7 seed=1,2,3       # a sweep

{paths}
The keys of a group:  cromss train --help trainer             # with ranges and defaults; all: docs/settings.md
All keys of a run:    cromss train --cfg job [overrides]
Hydra's own options:  cromss train --hydra-help
Other programs:       cromss --help
"""


def main() -> None:
    """Runs `cromss train`: composes the config from the command line, then starts the run or the sweep."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        groups = [word for word in sys.argv[1:] if not word.startswith("-") and "=" not in word]
        with one_sentence(_unknown_key):
            text = help_text(groups[0]) if groups else HELP.format(groups=_groups(config_dir()), paths=PATHS_HELP)
        sys.stdout.write(text)
        return
    # Within the training `run` has better words.
    with interrupted_as("Stopped before the training began."), one_sentence(_unknown_key):
        prepare_arguments(TRAIN)
        _train()


def _groups(root: Path) -> str:
    """One line a group. Hydra's own list would show the files that options share as if they could be chosen."""
    defaults = {
        key: value
        for entry in OmegaConf.load(root / "config.yaml").defaults
        if entry != "_self_"
        for key, value in entry.items()
    }
    lines = []
    folders = [path for path in (*root.glob("*/"), *root.glob("trainer/*/")) if path.name != "hydra"]
    for group in sorted(["experiments", *(folder.relative_to(root).as_posix() for folder in folders)]):
        names = option_files(group)
        lines.append(
            f"  {group:18} " + "  ".join(f"{name}*" if name == defaults.get(group) else name for name in names)
        )
    return "\n".join(lines)


@hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
def _train(cfg: DictConfig) -> float:
    """One run; the return value is for sweepers."""
    with mistakes_shown():
        return _run(cfg)


def _run(cfg: DictConfig) -> float:
    mode, folder, overrides = HydraConfig.get().mode, output_folder(), typed_overrides()
    try:
        # First of all: the rest takes seconds to import, in which another job could come.
        single = as_single_run(folder, overrides) if mode == RunMode.MULTIRUN else nullcontext()
        with hold(folder), single:
            from cromss.cli.run import MISTAKES, run

            try:
                return run(cfg)
            except (InstantiationException, *MISTAKES) as error:
                log.debug("The run ended with an error", exc_info=True)
                raise UserError(_message(error)) from error
    except TakenError as taken:
        if mode == RunMode.MULTIRUN:
            log.info("Left alone: %s", taken)
            return math.nan
        raise UserError(str(taken)) from taken


def _message(error: Exception) -> str:
    """What went wrong, without the wrapping that Hydra puts around an error of a part that it builds."""
    cause = error.__cause__
    return (
        str(cause)
        if isinstance(error, InstantiationException) and isinstance(cause, ValueError | OSError)
        else str(error)
    )


def _unknown_key(key: str) -> str:
    """What to type instead of a key that does not exist, among those of the groups that were chosen."""
    overrides = [argument for argument in sys.argv[1:] if "=" in argument and not argument.startswith("-")]
    GlobalHydra.instance().clear()
    try:
        parsed = zip(overrides, OverridesParser.create().parse_overrides(overrides), strict=True)
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            options = GlobalHydra.instance().config_loader().get_group_options
            groups = [typed for typed, override in parsed if options(override.key_or_group)]
            known = compose("config", [group for group in groups if "," not in group])
    except HydraException:
        with initialize_config_dir(str(config_dir()), version_base="1.3"):
            known = compose("config")
    return next(iter(suggest_keys(known, [f"{key}="])), f"There is no key {key}: see `cromss train --cfg job`")
