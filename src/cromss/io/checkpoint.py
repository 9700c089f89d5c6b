"""A checkpoint as typed data: how it came to be, and its tensors. Nothing in it is composed or instantiated."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from cromss.io.earlier import of_this_version, overrides_of_this_version
from cromss.io.plain import NotPlainError, Record, check_plain, parse, shown
from cromss.io.safe_load import UnreadableFileError, read_torch_file

Count = Annotated[int, Field(ge=0, lt=2**53)]
"""A count."""

DTYPES = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
    }
)
"""Types of weights; no network here uses complex or packed numbers."""

MOST_TENSORS = 100_000
LARGEST_TENSOR = 2**28
LARGEST_STATE = 2**32
"""Values of all tensors of a state dict together: a view of one value can claim any number of them."""


class BandFitReport(Record):
    """How a first convolution was fitted to other bands, see `cromss.weights.bands.BandFit`."""

    kept: list[str]
    new: list[str]
    left_out: list[str]
    factor: float


class WeightsReport(Record):
    """What training started from, see `cromss.weights.LoadReport.summary`."""

    origin: str
    path: str | None = None
    sha256: str | None = None
    load: str
    modality: str
    source_modality: str | None = None
    layout: str | None = None
    prefix: str | None = None
    loaded: Count = 0
    missing: list[str] = Field(default_factory=list)
    unexpected: list[str] = Field(default_factory=list)
    bands: BandFitReport | None = None


class Provenance(Record):
    """How a checkpoint came to be.

    Attributes:
        epoch: Number of its epoch, from 0.
        global_step: Optimiser steps until then.
        config: The resolved config of its run, by the names of this version.
        overrides: Overrides of the command line of its run, likewise.
        weights: Weights that training started from, by branch.
    """

    epoch: Annotated[int, Field(ge=0, lt=2**31)]
    global_step: Count = 0
    config: dict[str, Any]
    overrides: list[str] = Field(default_factory=list)
    weights: list[WeightsReport] = Field(default_factory=list)


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose provenance and state dict have been checked.

    Attributes:
        provenance: How it came to be.
        state: Name -> tensor of the module, on the CPU.
        content: The whole content of the file; its other parts are checked where they are used.
    """

    provenance: Provenance
    state: dict[str, Tensor]
    content: Mapping[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """The resolved config of the run that wrote it."""
        return self.provenance.config

    @property
    def epoch(self) -> int:
        """Number of its epoch, from 0."""
        return self.provenance.epoch

    def weights(self) -> list[dict[str, Any]]:
        """What training started from, as plain values."""
        return [report.model_dump() for report in self.provenance.weights]


def read_checkpoint(path: Path, checksums: bool = True, mapped: bool = True) -> Checkpoint:
    """Reads a checkpoint of this project.

    Args:
        path: Checkpoint file.
        checksums: See `cromss.io.safe_load.read_torch_file`, likewise `mapped`.
        mapped: Whether tensors may stay in the file.

    Raises:
        UnreadableFileError: The file is damaged, of another kind, or holds something else than a run saves; the message
            is the reason alone.
    """
    content = read_torch_file(path, checksums=checksums, mapped=mapped)
    if type(content) is not dict or not {"state_dict", "config", "epoch"} <= content.keys():
        raise UnreadableFileError("it holds no state_dict, config and epoch: it is not a checkpoint of a run of cromss")
    try:
        fields = {name: content[name] for name in Provenance.model_fields if name in content}
        found = parse(Provenance, fields)
        named = {"config": of_this_version(found.config), "overrides": overrides_of_this_version(found.overrides)}
        return Checkpoint(found.model_copy(update=named), checked_state(content["state_dict"]), content)
    except NotPlainError as error:
        raise UnreadableFileError(f"as a checkpoint of cromss, {error}") from error


def checked_state(state: Any) -> dict[str, Tensor]:
    """Checks that a value is a state dict: dense tensors of numbers on the CPU by name, of a bounded size.

    Raises:
        NotPlainError: It is not; the message names the first tensor that is wrong.
    """
    if type(state) not in (dict, OrderedDict):
        raise NotPlainError(f"state_dict is {shown(repr(type(state).__name__))}: it has to be tensors by name")
    if len(state) > MOST_TENSORS:
        raise NotPlainError(f"state_dict has {len(state)} entries, more than the {MOST_TENSORS} that are read")
    try:
        check_plain(dict.fromkeys(state))
    except NotPlainError as error:
        raise NotPlainError(f"in the names of state_dict, {error}") from error
    for name, value in state.items():
        check_tensor(f"state_dict.{name}", value)
    if sum(value.numel() for value in state.values()) > LARGEST_STATE:
        raise NotPlainError(f"the tensors of state_dict have more than {LARGEST_STATE} values")
    return dict(state)


def check_tensor(name: str, value: Any) -> None:
    """NotPlainError unless a value is a dense tensor of numbers, on the CPU and of a bounded size."""
    if type(value) not in (Tensor, nn.Parameter):
        raise NotPlainError(f"{shown(name)} is a {type(value).__name__}, not a tensor")
    if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in DTYPES:
        raise NotPlainError(
            f"{shown(name)} is a {value.layout} tensor of {value.dtype} on {value.device}: it has to be a dense tensor "
            "of real numbers"
        )
    if value.numel() > LARGEST_TENSOR:
        raise NotPlainError(f"{shown(name)} has {value.numel()} values, more than the {LARGEST_TENSOR} that are read")
