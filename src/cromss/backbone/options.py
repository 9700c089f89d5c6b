"""Names that the settings of a network may have; without torch, so that settings are checked before it is loaded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

DECODERS = (
    "unet",
    "unetplusplus",
    "deeplabv3",
    "deeplabv3plus",
    "pspnet",
    "linknet",
    "fpn",
    "pan",
    "manet",
    "upernet",
)
"""The decoders that take any convolutional encoder."""

NORMS: Mapping[str, dict[str, Any]] = {
    "batchnorm": {"type": "batchnorm"},
    # With weights, as batch norm has them: the decoders initialise those of all their norms.
    "instancenorm": {"type": "instancenorm", "affine": True},
    "identity": {"type": "identity"},
}
"""Normalisations of decoders, as segmentation_models_pytorch takes them."""

FREEZE_MODES = ("none", "frozen", "reference")
"""What may happen to encoders, see `cromss.backbone.Freezing`."""

_MOST_LISTED = 30
"""Names that a message lists."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """A sentence that says that a name is unknown, with close ones or a list of those that there are."""
    known = list(known)
    if close := difflib.get_close_matches(name, known, n=5):
        return f"{kind}={name[:100]!r} is unknown: did you mean {' or '.join(close)}?"
    more = ", …" if len(known) > _MOST_LISTED else ""
    return f"{kind}={name[:100]!r} is unknown: choose one of {', '.join(known[:_MOST_LISTED])}{more}"
