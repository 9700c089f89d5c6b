"""Removes credentials from URLs in all text that is stored or shown."""

from __future__ import annotations

import re
from typing import Any

HIDDEN = "***"

# A path that was made of an address has one slash left. Every run of letters is looked at once: the text may be long.
_START = r"(?<![a-z0-9+.-])(?:[a-z0-9+.-]+:/{2,}|(?:https?|ftps?|s3|gs):/)"
_IN_TEXT = re.compile(rf"(?P<start>{_START})(?P<rest>[^\s'\"<>`]*)", re.IGNORECASE)
_WHOLE = re.compile(rf"(?P<start>{_START})(?P<rest>.*)", re.IGNORECASE | re.DOTALL)


def redact(text: str) -> str:
    """Hides the credentials of all addresses in a text.

    Hidden are user and password, the values of a query, as any of them may be a signature or a token, and a fragment.
    ``https://me:secret@host/file?key=abc`` becomes ``https://***@host/file?key=***``. Applied twice, it changes nothing
    more.

    Args:
        text: An address, or any text with addresses in it.
    """
    return _IN_TEXT.sub(_replaced, text) if ":/" in text else text


def redact_values(value: Any) -> Any:
    """A copy of plain values, such as a config, with every text redacted."""
    if isinstance(value, dict):
        return {key: redact_values(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(child) for child in value]
    if not isinstance(value, str):
        return value
    # A text that is a URL as a whole may contain quotes and spaces.
    whole = _WHOLE.fullmatch(value)
    return redact(value) if whole is None else whole["start"] + _without_credentials(whole["rest"])


def _replaced(found: re.Match[str]) -> str:
    address = found["rest"].rstrip(")]}.,:;")
    punctuation = found["rest"][len(address) :]
    return found["start"] + _without_credentials(address) + punctuation


def _without_credentials(rest: str) -> str:
    """`rest` is an address from behind the slashes of its scheme."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority:
        rest = f"{HIDDEN}@{rest[authority.rindex('@') + 1 :]}"
    elif ":" in authority and "@" in rest:
        # A password with a slash or the like that should have been escaped.
        rest = f"{HIDDEN}@{rest[rest.rindex('@') + 1 :]}"
    elif re.search(r":[^:\]]*[^\d:\]]", authority):
        # No port is such: half of an address that was cut.
        rest = HIDDEN
    location, mark, _ = rest.partition("#")
    path, question, query = location.partition("?")
    path = re.sub(r";[^/]*", f";{HIDDEN}", path)
    parts = [f"{part.partition('=')[0]}={HIDDEN}" if "=" in part else HIDDEN for part in re.split("[&;]", query)]
    return path + (question and f"?{'&'.join(parts)}") + (mark and f"#{HIDDEN}")
