"""What can be wrong with one location while the others are fine."""

from __future__ import annotations


class AbsentError(ValueError):
    """The source does not hold a location that its table of ids names."""
