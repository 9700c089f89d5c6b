"""How fast selection sets in over the epochs."""

from __future__ import annotations

import math
from collections.abc import Callable

RAMPS: dict[str, Callable[[float], float]] = {
    "exp": lambda share: math.exp(-5 * (1 - share) ** 2),
    "linear": lambda share: share,
    "none": lambda share: 1.0,
}
"""Name -> progress of selection at a share in [0, 1) of the ramp."""


def ramp(kind: str, epoch: float, epochs: float) -> float:
    """Progress of selection, 0 (hardly any) to 1 (full): ``r(e)`` in CromSS, section III-C.

    Args:
        kind: ``"exp"``: ``exp(-5 (1 - epoch / epochs)^2)``; ``"linear"``: ``epoch / epochs``; ``"none"``: 1 at once.
        epoch: Current epoch, from 0.
        epochs: Length of the ramp; from ``epoch >= epochs`` on the progress is 1.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: Unknown kind.
    """
    if kind not in RAMPS:
        raise ValueError(f"ramp {kind!r} is unknown; choose one of {', '.join(RAMPS)}")
    return 1.0 if epoch >= epochs else RAMPS[kind](epoch / epochs)
