"""Rows of the table that `make bench` prints."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One commitment: what was measured, what was promised, and the times behind it."""

    name: str
    measured: float
    promised: str
    met: bool
    detail: str


def at_least(name: str, values: dict[str, float], bound: float) -> Row:
    """A row for ``values["ratio"]``, how many times faster than the published way."""
    detail = f"{values['published_ms']:.2f} ms -> {values['ours_ms']:.2f} ms"
    return Row(name, values["ratio"], f">= {bound:g} x", values["ratio"] >= bound, detail)
