"""Tables of the origins of weights, of the layout of their files, and of how much of a file can be loaded.

No torch is imported here, so that settings can be checked before it is. A new origin is a new row of `ORIGINS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cromss.fusion.parts import LATE, MID, SINGLE, Parts

ANY = "any"
"""Key of an encoder whose modality does not follow from its name."""

NONE = "none"
"""The origin of random weights."""

IMAGENET = "imagenet"
"""The only origin that needs no file: libraries publish these weights by the name of the encoder."""

LOADS = ("encoder", "encoder+N", "encoder+decoder", "all")
"""How much is loaded: the encoder, also the first N blocks of the decoder, the whole decoder, also the head."""

LOAD_PATTERN = r"^(encoder(\+([1-9]\d{0,3}|decoder))?|all)$"
"""A regular expression for `LOADS`."""


class Amount(NamedTuple):
    """How much to load beside the encoder.

    Attributes:
        blocks: Blocks of the decoder, the deepest first; None takes all.
        head: Whether to load the head, too.
    """

    blocks: int | None
    head: bool


def amount_of(load: str) -> Amount:
    """Reads the setting `backbone.load`; ValueError for what is none of `LOADS`."""
    if not re.fullmatch(LOAD_PATTERN, load):
        raise ValueError(f"load={load!r} is unknown: choose one of {', '.join(LOADS)}, where N is a number of blocks")
    if load == "all" or load.endswith("decoder"):
        return Amount(None, head=load == "all")
    return Amount(int(load.partition("+")[2] or 0), head=False)


@dataclass(frozen=True)
class Layout:
    """One way in which files of an origin are laid out.

    Attributes:
        title: What a report calls it.
        parts: Modality, or `ANY`, -> its parts in the state dict.
        needs: A part without which it is another layout.
        marked: Whether it is recognised by the metadata of an exported encoder, whose keys have no prefix.
    """

    title: str
    parts: Mapping[str, Parts]
    needs: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Origin:
    """What is known of an origin's files.

    Attributes:
        containers: Keys of the file under which the state dict may lie, tried in order; "" is the file itself.
        layouts: Tried in order.
        orders: Number of S2 bands -> name in `cromss.dataset.bands.SUBSETS`, where it is not the number itself.
        has_decoder: Whether some of its files hold more than encoders.
    """

    containers: tuple[str, ...]
    layouts: tuple[Layout, ...]
    orders: Mapping[int, str] = field(default_factory=dict)
    has_decoder: bool = False


def _of_runs(parts: Mapping[str, Parts]) -> dict[str, Parts]:
    return {branch: names.with_prefix("net") for branch, names in parts.items()}


def _encoder(title: str, name: str) -> Layout:
    return Layout(title, {ANY: Parts(name)})


_PLAIN = ("", "state_dict", "model")

ORIGINS: Mapping[str, Origin] = {
    # Liu et al. 2025, and the checkpoints of this project, which have the same keys.
    "cromss": Origin(
        ("state_dict", ""),
        (
            Layout("late fusion", _of_runs(LATE)),
            Layout("middle fusion", _of_runs(MID), needs="net.encoder1"),
            Layout("one branch", _of_runs({ANY: SINGLE})),
            Layout("exported", {ANY: Parts("")}, marked=True),
        ),
        has_decoder=True,
    ),
    # MoCo-v2 and DINO of SSL4EO-S12 (Wang et al. 2023).
    "moco": Origin(
        ("state_dict",), (_encoder("query encoder", "module.encoder_q"), _encoder("key encoder", "module.encoder_k"))
    ),
    "dino": Origin(("teacher", "student"), (_encoder("backbone", "module.backbone"),)),
    # Wang et al. 2024; two encoders per file.
    "decur": Origin(
        _PLAIN, (Layout("two backbones", {"s1": Parts("module.backbone_1"), "s2": Parts("module.backbone_2")}),)
    ),
    # SatlasPretrain (Bastani et al. 2023).
    "satlas": Origin(_PLAIN, (_encoder("backbone", "backbone.resnet"),), orders={9: "9_rgb_first"}),
    # torchvision, timm, and whatever else is a plain ResNet.
    IMAGENET: Origin(_PLAIN, (_encoder("plain", ""),)),
}
"""Origin -> layout of its files. Keys of encoders that start with ``fc`` belong to classifiers and are left out."""
