"""The reference page of all keys of `cromss train`, made from the schema: ``python -m cromss.config.reference``.

``cromss train --help GROUP`` prints a part of the committed page, so that help does not import the schema.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from cromss.config.backbone import BackboneGroup
from cromss.config.launcher import LAUNCHERS, SWEEPERS
from cromss.config.mistakes import UserError
from cromss.config.settings import Settings, fields_of, keys_of
from cromss.config.trainer import Trainer
from cromss.config.whole import PARTS, Run, dataset_model
from cromss.config.words import allowed, as_typed
from cromss.io.atomic import write_file
from cromss.io.package_data import config_dir, option_files

_TOP = "top level"
_INTRODUCTION = """\
# All settings

Every key of `cromss train`: its default, allowed values and meaning. This page is made from the schema that
checks each run, by `make reference`; `cromss train --help GROUP` prints a part of it. Where the options of a group
have different defaults, each is named. The reasons for the defaults are in `conf/`.
"""


def page_file() -> Path:
    """The committed page."""
    return config_dir().parent / "docs" / "settings.md"


def page() -> str:
    """The page, as Markdown."""
    parts = [_INTRODUCTION]
    for title, text in _sections():
        parts.append(f"## {title}\n\n{text}")
    return "\n".join(parts)


def help_text(group: str, text: str | None = None) -> str:
    """The part of the page about a group, for a terminal.

    Args:
        group: ``"trainer"``, ``"trainer/optimizer"`` ...; or a key of the top level, such as ``"seed"``.
        text: The page; None reads the committed one.

    Raises:
        UserError: There is no such group, or no page.
    """
    try:
        text = page_file().read_text(encoding="utf-8") if text is None else text
    except OSError as error:
        raise UserError(f"{page_file()} cannot be read: {error.strerror}; see `cromss train --help`") from error
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    chosen = [name for name in sections if name == group or name.startswith(f"{group}/")]
    if not chosen:
        raise UserError(f"--help {group}: there is no such group; choose one of {', '.join(sections)}")
    lines = "\n\n".join(f"{name}\n{sections[name].strip()}" for name in chosen).replace("**", "").replace("`", "")
    return f"{lines}\n"


def _sections() -> Iterator[tuple[str, str]]:
    """Title and text of each part."""
    top = OmegaConf.load(config_dir() / "config.yaml")
    yield _TOP, _lines("", Run, {"config": top}, set(fields_of(Run)) - set(top))
    for group in ("dataset", "backbone", "fusion", "loss", "selection", "smoothing"):
        yield group, _group(group)
    hardware = _options("trainer/hardware")
    trainings = {name: OmegaConf.merge(hardware["auto"], option) for name, option in _options("trainer").items()}
    yield "trainer", _lines("trainer", Trainer, trainings, set())
    for group in ("trainer/optimizer", "trainer/scheduler"):
        yield group, _group(group)
    yield "trainer/hardware", _lines("trainer", Trainer, hardware, set(fields_of(Trainer)) - set(hardware["auto"]))
    for group in ("callbacks", "logger"):
        yield group, "\n".join(_written_keys(group, option) for option in option_files(group))
    for group in ("hydra/launcher", "hydra/sweeper"):
        yield group, _group(group)


def _group(group: str) -> str:
    """The keys of a group: first those of all options, then those of some, by the classes that describe them."""
    options = _options(group)
    models = {option: _model(group, values) for option, values in options.items()}
    bases = (base for model in models.values() for base in reversed(model.__mro__))
    parts = []
    for one in dict.fromkeys(base for base in bases if issubclass(base, Settings) and base is not Settings):
        chosen = {option: options[option] for option, model in models.items() if issubclass(model, one)}
        inherited = set(fields_of(one.__mro__[1]))
        keys = _lines(group.replace("/", "."), one, chosen, inherited) or "No keys.\n"
        parts.append(keys if len(chosen) == len(models) else f"**{group}={', '.join(chosen)}**\n\n{keys}")
    return "\n".join(parts)


def _model(group: str, values: DictConfig) -> type[Settings]:
    """The class that describes an option."""
    if group == "dataset":
        return dataset_model({"dataset": OmegaConf.to_container(values)})
    if group == "backbone":
        return BackboneGroup
    return {**PARTS.get(group.replace("/", "."), {}), **LAUNCHERS, **SWEEPERS}[values._target_]


def _written_keys(group: str, option: str) -> str:
    """The keys of an option that has no class here, as it is a part of Lightning."""
    (entries,) = _written(group, option).items()
    name, settings = str(entries[0]), OmegaConf.to_container(entries[1])
    assert isinstance(settings, dict)
    none = "No keys.\n"
    written = {str(key): value for key, value in settings.items()}
    keys = [f"- `{group}.{name}.{key}` = `{as_typed(value)}`.\n" for key, value in written.items() if key[0] != "_"]
    return f"**{group}={option}**\n\n{''.join(keys) or none}"


def _lines(prefix: str, model: Any, options: Mapping[str, Any], skipped: Any) -> str:
    """One line per key: name, default, allowed values, description."""
    lines = []
    for key, hint, description in keys_of(model, prefix):
        name = key[len(prefix) + 1 :] if prefix else key
        if name.split(".")[0] in skipped:
            continue
        default = _default(name, options)
        words = f"; {allowed(hint)}" if not allowed(hint).startswith("keys with values: ") else "; keys with values"
        lines.append(f"- `{key}`{default}{words}. {description}".rstrip() + "\n")
    return "".join(lines)


def _default(name: str, options: Mapping[str, Any]) -> str:
    """The default of each option, together where they agree."""
    names: dict[str, list[str]] = {}
    for option, values in options.items():
        names.setdefault(_value(values, name), []).append(option)
    if len(names) == 1:
        (text,) = names
        return f" = `{text}`" if text else ""
    return " = " + ", ".join(f"`{text or '(none)'}` ({', '.join(chosen)})" for text, chosen in names.items())


def _value(values: Any, name: str) -> str:
    """A default as written; empty for a table and without a default."""
    for part in name.split("."):
        if not isinstance(values, DictConfig) or part not in values:
            return ""
        values = values._get_node(part)
    value = OmegaConf.to_container(values) if OmegaConf.is_config(values) else values._value()
    return "" if isinstance(value, dict) else as_typed(value)


def _options(group: str) -> dict[str, DictConfig]:
    """Option -> its settings as written, with those of the files that it includes."""
    return {option: _written(group, option) for option in option_files(group)}


def _written(group: str, option: str) -> DictConfig:
    own = OmegaConf.load(config_dir() / group / f"{option}.yaml")
    assert isinstance(own, DictConfig)
    included = [entry for entry in own.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    # A file over all groups names its own.
    own = own[group] if list(own) and group in own else own
    merged = OmegaConf.merge(*(_written(group, name.partition("@")[0]) for name in included), own)
    assert isinstance(merged, DictConfig)
    return merged


def main() -> None:
    """Writes the page."""
    write_file(page_file(), page().encode())
    sys.stdout.write(f"{page_file()}\n")


if __name__ == "__main__":
    main()
