"""Builds the networks that saved configs describe, from a table of this project's own fusions.

A saved config comes from a file and could name any function: its names are looked up in the table, its values are
checked, and nothing in it is instantiated, composed or resolved.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import ConfigDict, Field
from torch import Tensor

from cromss.backbone import Backbone
from cromss.fusion import FusionNetwork, LateFusion, MidFusion, SingleFusion
from cromss.io.plain import NotPlainError, Record, check_plain, parse, shown
from cromss.types import IGNORE_INDEX

BACKBONE = "cromss.backbone.Backbone"

Channels = Annotated[int, Field(ge=1, le=4096)]
"""Channels of a decoder block; published networks have up to 256."""

Bands = Annotated[int, Field(ge=1, le=13)]


class SavedBackbone(Record):
    """Arguments of `cromss.backbone.Backbone`, which checks the names."""

    model_config = ConfigDict(extra="forbid")

    target: Literal["cromss.backbone.Backbone"] = Field(alias="_target_")
    encoder: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
    decoder: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")]
    encoder_depth: Annotated[int, Field(ge=1, le=7)] | None
    decoder_channels: Channels | Annotated[list[Channels], Field(min_length=1, max_length=7)] | None
    decoder_norm: Literal["batchnorm", "instancenorm", "identity"] | None
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)] | None


class SavedFusion(Record):
    """Arguments that all fusions have."""

    model_config = ConfigDict(extra="forbid")

    target: str = Field(alias="_target_")
    backbone: SavedBackbone
    bands: dict[Annotated[str, Field(pattern="^s[12]$")], Bands]
    classes: Annotated[int, Field(ge=1, le=IGNORE_INDEX)]

    def build(self, state: Mapping[str, Tensor]) -> FusionNetwork:
        """Builds the network on the CPU and fills it.

        Args:
            state: Its weights.

        Raises:
            ValueError: The arguments do not fit together, or the weights do not fit the network; before it takes more
                memory than the weights themselves do.
        """
        try:
            # An encoder may take gigabytes.
            with torch.device("meta"):
                planned = self._made().state_dict()
        except ValueError as error:
            # Some encoders compute with values when they are built.
            if "meta" not in str(error):
                raise
        else:
            _check_shapes(state, planned)
        net = self._made()
        _check_shapes(state, net.state_dict())
        net.load_state_dict(state)
        return net

    def _made(self) -> FusionNetwork:
        _, fusion = FUSIONS[self.target]
        backbone = Backbone(**self.backbone.model_dump(exclude={"target"}))
        return fusion(backbone=backbone, **self.model_dump(exclude={"target", "backbone"}))


class SavedPair(SavedFusion):
    """Arguments of fusions of two modalities."""

    common: bool


class SavedSingle(SavedFusion):
    """Arguments of `cromss.fusion.SingleFusion`."""

    modality: Literal["s1", "s2", "common"]


FUSIONS: Mapping[str, tuple[type[SavedFusion], Callable[..., FusionNetwork]]] = {
    "cromss.fusion.MidFusion": (SavedPair, MidFusion),
    "cromss.fusion.LateFusion": (SavedPair, LateFusion),
    "cromss.fusion.SingleFusion": (SavedSingle, SingleFusion),
}
"""Target in a config -> record of its arguments, and the class. A file can build nothing else."""


def saved_network(config: Mapping[str, Any]) -> SavedFusion:
    """Reads the group ``fusion`` of a saved config: a network, not yet built.

    Raises:
        NotPlainError: It is missing, names another function than those of `FUSIONS`, or holds a value that no network
            here has.
    """
    fusion = config.get("fusion")
    check_plain(fusion)
    if type(fusion) is not dict or not isinstance(fusion.get("backbone"), dict):
        raise NotPlainError("its config has no fusion with a backbone")
    target, inner = (node.get("_target_") for node in (fusion, fusion["backbone"]))
    for found, known in ((target, tuple(FUSIONS)), (inner, (BACKBONE,))):
        if found not in known:
            raise NotPlainError(
                f"its config asks to call {shown(str(found))}, which is no network of cromss and is refused: only "
                f"{', '.join(known)} {'is' if len(known) == 1 else 'are'} built from a file, and a network of your "
                "own is tested by cromss train trainer.test_only=true with it named on the command line"
            )
    record, _ = FUSIONS[str(target)]
    try:
        return parse(record, fusion)
    except NotPlainError as error:
        raise NotPlainError(f"in the group fusion of its config, {error}") from error


def _check_shapes(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    found = {name: tuple(value.shape) for name, value in state.items()}
    needed = {name: tuple(value.shape) for name, value in wanted.items()}
    differing = [name for name in sorted(found.keys() | needed.keys()) if found.get(name) != needed.get(name)]
    if differing:
        name = differing[0]
        raise NotPlainError(
            f"its weights do not fit the network that its config describes, {len(differing)} tensors differ, e.g. "
            f"{shown(name)}: {found.get(name, 'none')} in the file, {needed.get(name, 'none')} in the network"
        )
