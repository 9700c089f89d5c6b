"""Names of the parts of each branch in a network, which are those of the published checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Parts(NamedTuple):
    """Dotted names of the parts of one branch, as in a state dict.

    Attributes:
        encoder: The encoder; ``""`` where it is the whole state dict.
        decoder: The decoder; ``""`` where there is none.
        segmentation_head: The head; ``""`` where there is none.
    """

    encoder: str
    decoder: str = ""
    segmentation_head: str = ""

    def with_prefix(self, prefix: str) -> Parts:
        """The same parts of a network that is itself the module `prefix` of another."""
        return Parts(*(f"{prefix}.{name}" for name in self))


SINGLE = Parts("encoder", "decoder", "segmentation_head")
"""Parts of a network with one branch, and of every network of segmentation_models_pytorch."""

MID: Mapping[str, Parts] = {
    "s1": SINGLE._replace(encoder="encoder1"),
    "s2": SINGLE,
    "common": SINGLE._replace(encoder="encoder_com"),
}
"""Branch -> parts in middle fusion, whose branches share decoder and head."""

LATE: Mapping[str, Parts] = {
    "s1": SINGLE.with_prefix("model1"),
    "s2": SINGLE.with_prefix("model2"),
    "common": SINGLE.with_prefix("model_com"),
}
"""Branch -> parts in late fusion, whose branches share nothing."""
