"""The state that Lightning restores from a checkpoint besides the weights; checked first, unknown keys left out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import lightning
import torch
from pydantic import AfterValidator, ConfigDict, Field
from torch import Tensor, nn

from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.own_statistics import OwnStatistics
from cromss.io.checkpoint import Checkpoint, Count, check_tensor
from cromss.io.plain import NotPlainError, Record, check_plain, parse, shown

STATES: Mapping[str, frozenset[str]] = {
    "Adam": frozenset({"step", "exp_avg", "exp_avg_sq"}),
    "AdamW": frozenset({"step", "exp_avg", "exp_avg_sq"}),
}
"""Optimiser -> entries that its state must have for each weight."""


class Tracker(Record):
    """A progress counter of Lightning; each loop has only some of the fields."""

    model_config = ConfigDict(extra="forbid")

    ready: Count = 0
    started: Count = 0
    processed: Count = 0
    completed: Count = 0


class Progress(Record):
    """Progress within the epoch and over all."""

    model_config = ConfigDict(extra="forbid")

    current: Tracker
    total: Tracker = Tracker()
    is_last_batch: bool = False


class OptimizerProgress(Record):
    """Progress of an optimiser."""

    model_config = ConfigDict(extra="forbid")

    step: Progress
    zero_grad: Progress


class OptimProgress(Record):
    """Progress of the optimisers."""

    model_config = ConfigDict(extra="forbid")

    optimizer: OptimizerProgress


class LoaderState(Record):
    """The position of a loader, see `cromss.dataset.datamodule`."""

    model_config = ConfigDict(extra="forbid")

    batches: Count


class LoopState(Record):
    """State of a loop besides its progress."""

    model_config = ConfigDict(extra="forbid")

    batches_that_stepped: Count | None = Field(None, alias="_batches_that_stepped")
    combined_loader: list[LoaderState] = Field(default_factory=list)


def _scalar(value: Any) -> Any:
    if isinstance(value, Tensor):
        check_tensor("it", value)
        if value.ndim or value.dtype == torch.bool or value.isnan():
            raise ValueError("it has to be a single number")
    elif value is not None and (not isinstance(value, int | float) or isinstance(value, bool)):
        raise ValueError("it has to be a single number")
    return value


Score = Annotated[Any, AfterValidator(_scalar)]


class ModelCheckpointState(Record):
    """State of Lightning's `ModelCheckpoint`."""

    model_config = ConfigDict(extra="forbid")

    monitor: str | None
    dirpath: str
    best_model_path: str
    best_model_score: Score
    current_score: Score = None
    best_k_models: dict[str, Score]
    kth_best_model_path: str
    kth_value: Score
    last_model_path: str = ""


class EarlyStoppingState(Record):
    """State of Lightning's `EarlyStopping`."""

    model_config = ConfigDict(extra="forbid")

    wait_count: Count
    stopped_epoch: Count
    best_score: Score
    patience: Count
    # Lightning since 2.6 stores why the training ended; a run that resumes has not ended.
    stopping_reason: Annotated[int, Field(ge=0, le=4)] = 0
    stopping_reason_message: str | None = None


class ScalerState(Record):
    """State of torch's `GradScaler`, of trainings in 16 bits."""

    model_config = ConfigDict(extra="forbid")

    scale: Annotated[float, Field(gt=0)]
    growth_factor: Annotated[float, Field(gt=1)]
    backoff_factor: Annotated[float, Field(gt=0, lt=1)]
    growth_interval: Annotated[int, Field(ge=1)]
    growth_tracker: Count = Field(alias="_growth_tracker")


class Sums(Record):
    """Sums of a module over an epoch, see `cromss.trainer.mid_epoch`."""

    processes: Annotated[int, Field(ge=1, lt=2**20)] | None = None
    epoch_sums: dict[str, dict[str, list[float]]] = Field(default_factory=dict)


def training_state(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """The part of a checkpoint that Lightning resumes from: only known keys, each of its expected type.

    Args:
        path: Its file, for messages.
        checkpoint: As it was read.

    Raises:
        ValueError: A part of the state is missing or not what Lightning writes.
    """
    try:
        return _training_state(checkpoint)
    except NotPlainError as error:
        raise ValueError(
            f"{path} cannot be resumed from ({error}): give another checkpoint, or start from its weights alone by "
            f"backbone.weights=cromss backbone.weights_path={path}"
        ) from error


def _training_state(checkpoint: Checkpoint) -> dict[str, Any]:
    content = checkpoint.content
    for key in ("loops", "callbacks", "optimizer_states", "lr_schedulers"):
        if key not in content:
            raise NotPlainError(f"the key {key} is missing")
    sums = parse(Sums, {key: content[key] for key in Sums.model_fields if key in content})
    own = LocationDataModule.__qualname__
    state: dict[str, Any] = {
        "epoch": checkpoint.epoch,
        "global_step": checkpoint.provenance.global_step,
        # Formats of older versions have been refused before, so there is nothing to migrate.
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": checkpoint.state,
        "loops": {"fit_loop": fit_loop(content["loops"])},
        "callbacks": _callbacks(content["callbacks"]),
        "optimizer_states": _optimizer_states(content["optimizer_states"]),
        "lr_schedulers": _schedules(content["lr_schedulers"]),
        "epoch_sums": sums.epoch_sums,
    }
    if sums.processes is not None:
        if any(len(values) != sums.processes for states in sums.epoch_sums.values() for values in states.values()):
            raise NotPlainError(f"epoch_sums are not those of {sums.processes} process(es)")
        state["processes"] = sums.processes
    if own in content:
        state[own] = statistics(content).as_dict()
    if "MixedPrecision" in content:
        state["MixedPrecision"] = _under("MixedPrecision", ScalerState, content).model_dump(by_alias=True)
    return state


def statistics(content: Mapping[str, Any]) -> OwnStatistics:
    """The statistics that scaled the images of a checkpoint; NotPlainError where they are invalid."""
    own = content.get(LocationDataModule.__qualname__, {})
    check_plain(own)
    if type(own) is not dict:
        raise NotPlainError(f"{LocationDataModule.__qualname__} is {shown(repr(own))}: it has to be statistics")
    try:
        return OwnStatistics.from_dict(own)
    except NotPlainError as error:
        raise NotPlainError(f"in {LocationDataModule.__qualname__}, {error}") from error


def fit_loop(loops: Any) -> dict[str, Any]:
    """The state of Lightning's fit loop, from that of all loops; NotPlainError where it is invalid."""
    check_plain(loops)
    loop = loops.get("fit_loop") if type(loops) is dict else None
    if type(loop) is not dict or "epoch_progress" not in loop:
        raise NotPlainError("loops.fit_loop.epoch_progress is missing")
    for key, value in loop.items():
        kinds: dict[str, type[Record]] = {
            "optim_progress": OptimProgress,
            "progress": Progress,
            "state_dict": LoopState,
        }
        kind = next((kind for end, kind in kinds.items() if key.endswith(end)), None)
        if kind is None or not re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", key):
            raise NotPlainError(f"loops.fit_loop has the key {shown(key)}, which no loop of Lightning has")
        _under(f"loops.fit_loop.{key}", kind, {f"loops.fit_loop.{key}": value})
    return dict(loop)


def progress(loop: Mapping[str, Any]) -> Tracker:
    """The progress of the epochs of a fit loop, see `fit_loop`."""
    return parse(Progress, loop["epoch_progress"]).current


def _callbacks(callbacks: Any) -> dict[str, Any]:
    """The states of the project's checkpoints and of early stopping; those of other callbacks are left out."""
    if type(callbacks) is not dict:
        raise NotPlainError("callbacks are not states by name")
    checked = {}
    for name, state in callbacks.items():
        if type(name) is not str:
            raise NotPlainError(f"callbacks has the key {shown(name)}, which is not a string")
        kinds: dict[str, type[Record]] = {
            "MovableCheckpoint": ModelCheckpointState,
            "EarlyStopping": EarlyStoppingState,
        }
        if (kind := kinds.get(name.partition("{")[0])) is not None and "{" in name:
            _under(f"callbacks.{name}", kind, {f"callbacks.{name}": state}, leaves=(Tensor,))
            checked[name] = state
    return checked


def _optimizer_states(states: Any) -> list[dict[str, Any]]:
    if type(states) is not list or len(states) != 1 or type(states[0]) is not dict:
        raise NotPlainError("optimizer_states is not the state of one optimiser")
    state, groups = states[0].get("state"), states[0].get("param_groups")
    if set(states[0]) != {"state", "param_groups"} or type(state) is not dict or type(groups) is not list:
        raise NotPlainError("optimizer_states.0 does not consist of state and param_groups")
    check_plain(groups)
    for number, kept in state.items():
        if type(number) is not int or type(kept) is not dict:
            raise NotPlainError(f"optimizer_states.0.state has the entry {shown(repr(number))}, which is no weight's")
        check_plain(kept, leaves=(Tensor,))
        for name, value in kept.items():
            if isinstance(value, Tensor):
                check_tensor(f"optimizer_states.0.state.{number}.{name}", value)
            elif value is not None and type(value) not in (int, float):
                raise NotPlainError(f"optimizer_states.0.state.{number}.{shown(name)} is no number and no tensor")
    return states


def _schedules(states: Any) -> list[dict[str, Any]]:
    if type(states) is not list or any(type(state) is not dict for state in states):
        raise NotPlainError("lr_schedulers are not a list of states")
    for state in states:
        # torch stores the best score so far, which is infinite before the first one.
        check_plain({name: None if type(value) is float else value for name, value in state.items()})
        if any(type(value) is float and math.isnan(value) for value in state.values()):
            raise NotPlainError("lr_schedulers holds NaN")
    return states


def check_restorable(path: Path, checkpoint: Checkpoint, module: Any) -> None:
    """Checks that optimiser, schedule and sums of a checkpoint fit the module that resumes from it.

    torch sets any key of such a state as an attribute.

    Args:
        path: Its file, for messages.
        checkpoint: As it was read.
        module: A `cromss.trainer.module.SegmentationModule` that has not been trained.

    Raises:
        ValueError: They do not.
    """
    saved = training_state(path, checkpoint)
    made = module.configure_optimizers()
    scheduler = made["lr_scheduler"]
    scheduler = scheduler["scheduler"] if isinstance(scheduler, dict) else scheduler
    weights = [weight for group in made["optimizer"].param_groups for weight in group["params"]]
    try:
        optimizer = saved["optimizer_states"][0]
        _check_alike(
            "optimizer_states.0.param_groups", optimizer["param_groups"], made["optimizer"].state_dict()["param_groups"]
        )
        _check_kept(optimizer["state"], weights, STATES.get(type(made["optimizer"]).__name__, frozenset()))
        _check_alike("lr_schedulers", saved["lr_schedulers"], [scheduler.state_dict()])
        _check_sums(saved["epoch_sums"], module)
    except NotPlainError as error:
        raise ValueError(
            f"{path} cannot be resumed from ({error}): resume with the optimiser, the schedule and the versions of "
            "torch and cromss that it was trained with, or start a new run"
        ) from error


def _check_alike(key: str, saved: Any, made: Any) -> None:
    """NotPlainError unless two states have the same keys, and values of the same kinds."""
    if isinstance(made, dict) and isinstance(saved, dict):
        for name in sorted(saved.keys() ^ made.keys()):
            raise NotPlainError(f"{key} {'has no' if name in made else 'has the unknown'} key {shown(name)}")
        for name in made:
            _check_alike(f"{key}.{name}", saved[name], made[name])
    elif isinstance(made, list | tuple) and isinstance(saved, list | tuple):
        if len(saved) != len(made):
            raise NotPlainError(f"{key} has {len(saved)} entries instead of {len(made)}")
        for number, pair in enumerate(zip(saved, made, strict=True)):
            _check_alike(f"{key}.{number}", *pair)
    # A rate of 1 becomes 1.0 with the first step; torch may replace None depending on the device.
    elif not (_kind(saved) == _kind(made) or (made is None and _kind(saved) in ("bool", "number"))):
        raise NotPlainError(f"{key} is {shown(repr(saved))} and not like {shown(repr(made))}")


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def _check_kept(
    state: Mapping[int, Mapping[str, Any]], weights: Sequence[nn.Parameter], needed: frozenset[str]
) -> None:
    for number, kept in state.items():
        if not 0 <= number < len(weights):
            raise NotPlainError(f"optimizer_states.0.state names weight {number} of {len(weights)}")
        if missing := sorted(needed - kept.keys()):
            raise NotPlainError(f"optimizer_states.0.state.{number} has no {' and '.join(missing)}")
        for name, value in kept.items():
            key = f"optimizer_states.0.state.{number}.{shown(name)}"
            if name in needed and not isinstance(value, Tensor):
                raise NotPlainError(f"{key} is no tensor")
            if isinstance(value, Tensor) and not (
                value.is_floating_point() and value.shape in (torch.Size(), weights[number].shape)
            ):
                raise NotPlainError(f"{key} has the shape {tuple(value.shape)}, not {tuple(weights[number].shape)}")


def _check_sums(sums: Mapping[str, Mapping[str, list[float]]], module: Any) -> None:
    known = module.epoch_sums()
    for name, states in sums.items():
        # Sums of losses are created when a loss is first measured.
        metric = known.get(name)
        allowed = {"total", "weight"} if metric is None else set(metric.metric_state)
        if (metric is None and not name.startswith("train/")) or not states.keys() <= allowed:
            raise NotPlainError(f"epoch_sums has {shown(name)} with {shown(', '.join(states))}, which is no known sum")


def _under(key: str, record: type[Record], content: Mapping[str, Any], leaves: tuple[type, ...] = ()) -> Any:
    """`parse` with the key in the message."""
    try:
        return parse(record, content[key], leaves=leaves)
    except NotPlainError as error:
        raise NotPlainError(f"in {shown(key)}, {error}") from error
