"""The error class for mistakes of the user, which are shown without a stack trace."""

from __future__ import annotations

from hydra.errors import CompactHydraException

from cromss.io.plain import printable
from cromss.io.redact import redact


class UserError(CompactHydraException, ValueError):
    """A mistake of the user: only its message is shown, without a stack trace.

    Args:
        message: One sentence, or a short list; credentials in it are hidden.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(redact(message), keep="\n"))
