"""Checkpoints: written whole or not at all; which one a run goes on from, checked before any work starts."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor, nn

from cromss.atomic import write_file
from cromss.dataset.own_statistics import PUBLISHED
from cromss.resolvers import CHECKPOINTS, LAST
from cromss.safe_load import UnreadableFileError, read_torch_file

log = logging.getLogger(__name__)

_RESTORED = ("trainer.optimizer", "trainer.scheduler", "trainer.decoder_rate")
"""Keys whose values are in the state that a checkpoint restores."""

_MAY_DIFFER = (
    "trainer.resume",
    "trainer.epochs",
    "trainer.workers",
    "trainer.wandb",
    "trainer.progress_bar",
    "trainer.checkpoint_every",
    "trainer.panel",
    "dataset.path",
    "dataset.reader.path",
    "dataset.cache",
    "dataset.reader.cache",
    "dataset.train_path",
    "dataset.test",
    "backbone.weights",
    "backbone.start",
    "trainer.test",
    "trainer.checkpoint",
    "trainer.predictions",
    "row",
    "weights_folder",
)
"""Beginnings of keys that do not change what is learned."""


class SeedEpochs(L.Callback):
    """Makes the random numbers of an epoch, as of dropout, depend on nothing but the seed, the epoch and the process.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Seeds torch on all devices."""
        entropy = (self.seed, trainer.current_epoch, trainer.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


class WholeCheckpoints(TorchCheckpointIO):
    """Replaces a checkpoint only by a whole one.

    Lightning's own way builds the file in the system's folder for temporary files: moving it from there to another
    file system is a copy, which a kill or a full disk leaves half done.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Args:
            checkpoint: What Lightning collected.
            path: A local file.
            storage_options: Not used.

        Raises:
            OSError: It cannot be written; an earlier checkpoint of this name is as it was.
        """
        # In memory first: torch turns a full disk into an error that does not say so.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_file(Path(path), content.getbuffer())


def find_checkpoint(resume: str | None, folder: Path) -> Path | None:
    """Resolves `trainer.resume`.

    Args:
        resume: None starts anew; ``"auto"`` goes on from this folder's last checkpoint if there is one; else a path.
        folder: The run's folder.

    Returns:
        A checkpoint, or None to start from the beginning.

    Raises:
        ValueError: The path is no file, or a new run would overwrite the checkpoints of an earlier one.
    """
    own = folder / CHECKPOINTS / LAST
    if resume is None:
        if own.exists():
            raise ValueError(
                f"{folder} already holds a run: go on with it by trainer.resume=auto, or move the folder away"
            )
        return None
    if resume == "auto":
        if not own.exists():
            log.info("No checkpoint of this run at %s: starts from the beginning", own)
            return None
        return own
    path = Path(resume).expanduser()
    if not path.is_file():
        raise ValueError(f"trainer.resume={resume} is no file: give the path of a checkpoint, auto or null")
    return path


def check_checkpoint(path: Path, module: nn.Module, config: Mapping[str, Any]) -> dict[str, Any]:
    """Makes sure that a checkpoint is whole, belongs to this model and this optimiser, and leaves epochs to train.

    Args:
        path: Checkpoint file.
        module: The module that is to go on from it.
        config: The resolved config of the new run. Other settings than the checkpoint's are warned of.

    Returns:
        The checkpoint.

    Raises:
        ValueError: The file is damaged, or does not fit; the message says how.
    """
    checkpoint = load_checkpoint(path)
    _check_shapes(path, checkpoint["state_dict"], module.state_dict())
    differing = {
        key: f"{key}={new} (checkpoint: {old})"
        for key, old, new in _differences(checkpoint["config"], config)
        if not key.startswith(_MAY_DIFFER)
    }
    fixed = [text for key, text in differing.items() if key.startswith(_RESTORED)]
    if fixed:
        raise ValueError(
            f"{path} brings its own optimiser and schedule, which {', '.join(fixed)} would not change: resume with the "
            "same ones, or start a new run"
        )
    epochs = config["trainer"]["epochs"]
    if checkpoint["epoch"] + 1 >= epochs:
        raise ValueError(
            f"{path} has finished its {checkpoint['epoch'] + 1} epochs and trainer.epochs={epochs} asks for no more: "
            "raise trainer.epochs to train on"
        )
    if differing:
        log.warning("Going on with settings that are not the checkpoint's: %s", ", ".join(differing.values()))
    return checkpoint


def load_tested(path: Path, module: nn.Module, config: Mapping[str, Any]) -> dict[str, Any]:
    """Puts the weights of a checkpoint into a module that is to be tested.

    Args:
        path: Checkpoint file.
        module: What it is loaded into.
        config: The resolved config of this run.

    Returns:
        The checkpoint.

    Raises:
        ValueError: The file is damaged, belongs to another model, or was trained on another input.
    """
    checkpoint = load_checkpoint(path)
    _check_shapes(path, checkpoint["state_dict"], module.state_dict())
    # Checkpoints from before there was a choice of statistics do not name it.
    trained = {"statistics": PUBLISHED, **checkpoint["config"]["dataset"]}
    differing = [
        f"dataset.{key}={config['dataset'][key]} (trained with {trained[key]})"
        for key in ("bands", "normalisation", "statistics", "classes")
        if config["dataset"][key] != trained[key]
    ]
    if differing:
        raise ValueError(f"{path} was trained on another input: {', '.join(differing)}; say what it was trained with")
    module.load_state_dict(checkpoint["state_dict"])
    return checkpoint


def _check_shapes(path: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    shapes = [{name: tuple(value.shape) for name, value in state.items()} for state in (saved, wanted)]
    differing = [
        f"{name}: checkpoint {shapes[0].get(name, 'has none')}, model {shapes[1].get(name, 'has none')}"
        for name in sorted(shapes[0].keys() | shapes[1].keys())
        if shapes[0].get(name) != shapes[1].get(name)
    ]
    if differing:
        shown = "\n".join(f"    {line}" for line in differing[:5])
        raise ValueError(
            f"{path} is a checkpoint of another model; {len(differing)} of its keys differ:\n{shown}\n"
            "  Resume with the backbone, fusion, bands and classes that it was trained with: "
            "its resolved config lies under the key `config` and beside it in config.yaml"
        )


def _differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, old and new value wherever two configs differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in old.keys() | new.keys():
            yield from _differences(old.get(key), new.get(key), f"{prefix}.{key}".lstrip("."))
    elif old != new:
        yield prefix, old, new


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint of this project without running anything that the file may carry.

    Args:
        path: Checkpoint file.

    Returns:
        What `Trainer.save_checkpoint` wrote; tensors on the CPU.

    Raises:
        ValueError: The file is truncated, no checkpoint, or holds more than plain data.
    """
    try:
        checkpoint = read_torch_file(path)
    except UnreadableFileError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({error}): it is damaged or of another kind; "
            "give another one, e.g. of an earlier epoch"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config", "epoch"} <= checkpoint.keys():
        raise ValueError(f"{path} holds no state_dict, config and epoch: it is not a checkpoint of a run of cromss")
    return checkpoint
