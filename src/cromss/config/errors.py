"""Mistakes of the user, which are shown as their message alone."""

from __future__ import annotations

from hydra.errors import CompactHydraException

from cromss.io.plain import printable
from cromss.io.redact import redact


class UserError(CompactHydraException, ValueError):
    """A mistake in what the user asked for: shown as its message alone, without a stack trace.

    Args:
        message: One sentence, or a short list; credentials in it are hidden.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(redact(message), keep="\n"))
