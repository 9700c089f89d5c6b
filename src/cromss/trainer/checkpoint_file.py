"""Files of checkpoints: written whole or not at all, read as plain data."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from cromss.io.atomic import write_file
from cromss.runs.names import CHECKPOINTS
from cromss.safe_load import UnreadableFileError, read_torch_file

log = logging.getLogger(__name__)

STEP = "step.ckpt"
"""Beside the checkpoints of whole epochs, the last one that was written within an epoch."""


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


class MovableCheckpoint(ModelCheckpoint):
    """Still knows the best score where the run's folder was moved, or is mounted elsewhere on another host."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on with the files of this folder, where they are those of the checkpoint."""
        assert self.dirpath is not None
        here = Path(self.dirpath)

        def moved(path: str) -> str:
            return str(here / Path(path).name) if path else path

        # A run that goes on elsewhere from a checkpoint of another one has no best checkpoint there yet.
        if Path(moved(state_dict["best_model_path"])).is_file():
            paths = {name: moved(state_dict[name]) for name in ("best_model_path", "kth_best_model_path")}
            scores = {moved(path): score for path, score in state_dict["best_k_models"].items()}
            state_dict = {**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath}
        super().load_state_dict(state_dict)


def remove_partials(folder: Path) -> None:
    """Removes what killed processes of a run had not written to the end.

    Args:
        folder: The run's folder. Nobody else may be writing there: the caller holds its lock.
    """
    for place in (folder, folder / CHECKPOINTS):
        for partial in sorted(place.glob(".*.partial-*")):
            log.info("removing %s, left behind by a process that was killed", partial)
            partial.unlink()


def load_checkpoint(path: Path, checksums: bool = True) -> dict[str, Any]:
    """Reads a checkpoint of this project without running anything that the file may carry.

    Args:
        path: Checkpoint file.
        checksums: Whether to read all of the file, which alone finds a flipped byte in a weight. Without, only what is
            asked for is read.

    Returns:
        What `Trainer.save_checkpoint` wrote; tensors on the CPU.

    Raises:
        ValueError: The file is truncated, no checkpoint, or holds more than plain data.
    """
    try:
        checkpoint = read_torch_file(path, checksums=checksums)
    except UnreadableFileError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({error}): it is damaged or of another kind; "
            "give another one, e.g. of an earlier epoch"
        ) from error
    if not isinstance(checkpoint, dict) or not {"state_dict", "config", "epoch"} <= checkpoint.keys():
        raise ValueError(f"{path} holds no state_dict, config and epoch: it is not a checkpoint of a run of cromss")
    return checkpoint
