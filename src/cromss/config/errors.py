"""Mistakes of the user, which are shown as their message alone."""

from __future__ import annotations

from hydra.errors import CompactHydraException


class UserError(CompactHydraException, ValueError):
    """A mistake in what the user asked for: shown as its message alone, without a stack trace."""
