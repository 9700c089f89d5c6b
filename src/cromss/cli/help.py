"""The help of the programs, from the YAML as it is written: nothing is composed, so it is shown at once."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import cromss
from cromss.io.package_data import config_dir, option_files

PROGRAMS: Mapping[str, str] = {
    "train": "pretrain on noisy labels, fine-tune, test; also sweeps and searches",
    "prepare": "turn raw data into stores, check them, download and export data",
    "predict": "map a scene with a trained network",
    "report": "tables of runs, pages that compare them, the state of a sweep",
    "export": "write an encoder as a file for other programs",
}
"""Name -> what it does."""

_TRAIN = """\
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

Paths are taken literally, whatever characters they hold; ~/ is the home folder. Exceptions:
  key=null               unsets a key: a file of that name is ./null
  runs=[A,B]             is a list where a key takes several paths, and no file is called so
  -m key=A,B             in a sweep commas separate paths: quote one that holds a comma, key="'A,B'"
  key="'...'"            quotes of your own, within those of the shell, hand the value to Hydra's grammar
The keys of a group:  cromss train --help trainer             # with ranges and defaults; all: docs/settings.md
All keys of a run:    cromss train --cfg job [overrides]
Hydra's own options:  cromss train --hydra-help
Other programs:       cromss --help
"""


def help_of_all() -> str:
    """Lists the programs."""
    lines = "".join(f"  cromss {name:9}{text}\n" for name, text in PROGRAMS.items())
    return (
        f"{cromss.__doc__}\n\nUsage: cromss PROGRAM [key=value ...]\n\n{lines}\n"
        "`cromss PROGRAM --help` shows the settings of a program, with examples; `cromss --version` the versions.\n"
        'Completion with the Tab key, in this shell:  eval "$(cromss -sc install=bash)"   # also zsh, fish\n'
    )


def help_of(program: str, arguments: Sequence[str]) -> str:
    """The help of a program.

    Args:
        program: A key of `PROGRAMS`.
        arguments: Of the command line. For ``train``, the name of a group asks for its keys.

    Raises:
        UserError: There is no such group.
    """
    if program != "train":
        return _of_settings(config_dir() / f"{program}.yaml")
    groups = [word for word in arguments if not word.startswith("-") and "=" not in word]
    if not groups:
        return _TRAIN.format(groups=_groups(config_dir()))
    # Imported late: the other kinds of help do not need it.
    from cromss.config.reference import help_text

    return help_text(groups[0])


def _groups(root: Path) -> str:
    """One line per group. Hydra's own list would include files that options share, which are no options."""
    entries = [entry for entry in _loaded(root / "config.yaml")["defaults"] if entry != "_self_"]
    defaults = {key: value for entry in entries for key, value in entry.items()}
    parts = [folder.relative_to(root).as_posix() for folder in root.glob("trainer/*/")]
    lines = []
    for group in sorted([*(key for key in defaults if not key.startswith("override")), *parts]):
        chosen = defaults.get(group)
        chosen = chosen if isinstance(chosen, list) else [chosen]
        names = "  ".join(f"{name}*" if name in chosen else name for name in option_files(group))
        lines += textwrap.wrap(names, 120, initial_indent=f"  {group:18} ", subsequent_indent=" " * 21)
    return "\n".join(lines)


def _of_settings(file: Path) -> str:
    """The help template in a program's YAML, filled with its settings as written there, comments included."""
    content = _loaded(file)
    settings = file.read_text(encoding="utf-8").partition("\n\n")[2].partition("\nhydra:")[0].strip()
    included = [settings, *_included(file.parent, content["defaults"])]
    template: str = content["hydra"]["help"]["template"]
    return template.replace("$CONFIG", "\n\n".join(included))


def _included(folder: Path, defaults: Sequence[Any]) -> Iterator[str]:
    """The files that a program's YAML includes under a key of their own, as ``sources/dw@dw``."""
    for entry in defaults:
        if isinstance(entry, str) and "@" in entry:
            name, _, key = entry.partition("@")
            lines = (folder / f"{name}.yaml").read_text(encoding="utf-8").strip().splitlines()
            yield "\n".join([f"{key}:", *(f"  {line}".rstrip() for line in lines)])


def _loaded(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))
