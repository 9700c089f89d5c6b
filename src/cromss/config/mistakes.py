"""Mistakes in a command line, each reported in one sentence: what is wrong, and the cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hydra.errors import CompactHydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from cromss.config.programs import settings_of
from cromss.config.words import did_you_mean
from cromss.io.plain import printable
from cromss.io.redact import redact


class UserError(CompactHydraException, ValueError):
    """A mistake of the user: only its message is shown, without a stack trace.

    Args:
        message: One sentence, or a short list; credentials in it are hidden.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(redact(message), keep="\n"))


_WITH_VALUE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn", "--package", "-p", "--info", "-i")
"""Hydra's own options that are followed by a value."""


def key_of(override: str) -> str:
    """The key or group of an override, without the signs ``+`` and ``~``."""
    return override.partition("=")[0].lstrip("+~")


def check_given_once(arguments: Sequence[str]) -> None:
    """Refuses a key that a command line sets twice, as the last one would silently win.

    Args:
        arguments: Overrides and options of the command line.

    Raises:
        UserError: One sentence for each key that is given more than once.
    """
    given: dict[str, list[str]] = {}
    for before, argument in zip(("", *arguments), arguments, strict=False):
        if argument.startswith("-") or before in _WITH_VALUE or not re.match(r"[+~]|[^=]+=", argument):
            continue
        given.setdefault(key_of(argument), []).append(argument)
    twice = [f"{' and '.join(same)} set {key} more than once: keep one" for key, same in given.items() if len(same) > 1]
    if twice:
        raise UserError("\n".join(twice))


def unknown_key(key: str, program: str) -> str:
    """What to type instead of a key that a config does not have.

    Args:
        key: As typed.
        program: See `settings_of`.
    """
    known = settings_of(program)
    if key in known:
        return f"There is no key {key} with the chosen options: see `cromss {program} --help`"
    return f"There is no key {key}: {did_you_mean(key, known, f'see `cromss {program} --help`')}"


_NOISE = re.compile(
    r"\s*(full_key:|object_type=|reference_type=|See https?://|Config search path:|provider=|\^|Set the environment).*"
)


def explain(error: Exception, arguments: Sequence[str], program: str) -> str:
    """What a user reads of an error before the work begins.

    Args:
        error: Raised while the command line was read and the settings were composed.
        arguments: The command line.
        program: See `settings_of`.
    """
    text = str(error)
    if isinstance(error, UserError):
        return text
    if isinstance(error.__cause__, OmegaConfBaseException):
        text = f"{text}\n{error.__cause__}"
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    removed = [typed for typed in arguments if typed.startswith("~")]
    if removed and "Interpolation key" in text:
        return f"{' and '.join(removed)} removes what other settings refer to: leave it out"
    for pattern, words in _RULES:
        if found := re.search(pattern, text, re.DOTALL):
            return words(found, program)
    if "Config group override must be" in text:
        groups = [typed for typed in arguments if re.fullmatch(r"[\w/@]*=(null|true|false|[-+.\d]*)", typed)]
        return f"{' or '.join(groups)} cannot be read: a group takes the name of one of its options"
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _NOISE.fullmatch(line)]
    what = " ".join(lines) or type(error).__name__
    if references := [typed for typed in arguments if "${" in typed]:
        return f"{' or '.join(references)} cannot be resolved: {what}"
    return what


def _unreadable(override: str) -> str:
    key, equals, value = override.partition("=")
    if not equals:
        return f"{override} is not key=value: set one key per word, and quote values with spaces for the shell"
    if not re.fullmatch(r"(\+\+?|~)?[\w./@$-]+", key, re.ASCII):
        return f"{override} is not key=value: there is no key {key or 'without a name'}"
    quoted = value.replace("'", "")
    return (
        f"{override} cannot be read: brackets and quotes come in pairs, and other text with them, with commas or with "
        f"letters beyond ASCII goes within quotes of its own: \"{key}='{quoted}'\""
    )


def _unknown_option(found: re.Match[str], program: str) -> str:
    options = [name for name in found["options"].split() if not name.startswith("_")]
    return f"{found['group']}={found['option']} is unknown: choose one of {', '.join(options)}"


def _not_removed(found: re.Match[str], program: str) -> str:
    if found["key"] in settings_of(program):
        return f"~{found['key']} cannot be removed: leave it out"
    return unknown_key(found["key"], program)


_RULES: tuple[tuple[str, Callable[[re.Match[str], str], str]], ...] = (
    (r"Could not override '(?P<key>[^']*)'", lambda found, program: unknown_key(found["key"], program)),
    (r"Could not delete from config. '(?P<key>[^']*)'", _not_removed),
    (r"Could not delete '(?P<key>[^']*)'", lambda found, program: unknown_key(found["key"].partition("=")[0], program)),
    (
        r"Could not append to config. An item is already at '(?P<key>[^']*)'",
        lambda found, _: f"+{found['key']} sets a key that exists: leave out the +",
    ),
    (
        r"Could not find '(?P<group>[^']+)/(?P<option>[^'/]*)'\s+Available options in '[^']*':\s(?P<options>.*?)"
        r"(?:Config search path|\Z)",
        _unknown_option,
    ),
    (
        r"Ambiguous value for argument '(?P<typed>.*?)'\n1",
        lambda found, _: (
            f"{found['typed']} holds several values: add -m for a sweep over them, set a list as key=[A,B], or quote "
            "text that holds a comma, \"key='A,B'\""
        ),
    ),
    (
        r"(?:Sweep parameters|Multirun) .*?'?(?P<typed>[\w./]+=\S*?)'? requires? --multirun",
        lambda found, _: f"{found['typed']} is a sweep: add -m",
    ),
    (
        r"Error merging override (?P<typed>.*?)\n+(?P<why>[^\n]*)",
        lambda found, _: f"{found['typed']} is not allowed: {found['why']}",
    ),
)
