"""Turns errors of Hydra and OmegaConf about a command line into one sentence: the mistake and the cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hydra.errors import OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from cromss.config.errors import UserError

_NOISE = re.compile(
    r"\s*(full_key:|object_type=|reference_type=|See https?://|Config search path:|provider=|\^|Set the environment).*"
)


def sentence(error: Exception, arguments: Sequence[str], unknown_key: Callable[[str], str]) -> str:
    """The message for an error before the work begins.

    Args:
        error: Raised while the command line was read and the settings were composed.
        arguments: The command line.
        unknown_key: Returns what to type instead of a key that does not exist.
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
            return words(found, unknown_key)
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


def _unknown_option(found: re.Match[str], unknown_key: Callable[[str], str]) -> str:
    options = [name for name in found["options"].split() if not name.startswith("_")]
    return f"{found['group']}={found['option']} is unknown: choose one of {', '.join(options)}"


_RULES: tuple[tuple[str, Callable[[re.Match[str], Callable[[str], str]], str]], ...] = (
    (r"Could not override '(?P<key>[^']*)'", lambda found, unknown: unknown(found["key"])),
    (r"Could not delete from config. '(?P<key>[^']*)'", lambda found, unknown: unknown(found["key"])),
    (r"Could not delete '(?P<key>[^']*)'", lambda found, unknown: unknown(found["key"].partition("=")[0])),
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
