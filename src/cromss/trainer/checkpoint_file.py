"""Checkpoint files: written atomically, read as plain data."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from cromss.io.atomic import leftovers, write_file
from cromss.io.checkpoint import Checkpoint, read_checkpoint
from cromss.io.safe_load import UnreadableFileError
from cromss.runs.names import CHECKPOINTS
from cromss.trainer.training_state import training_state

log = logging.getLogger(__name__)

STEP = "step.ckpt"
"""The last checkpoint within an epoch, beside those at the ends of epochs."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Replaces a checkpoint only by a complete one, and always reads it as plain data.

    Lightning itself writes the file to the system's folder for temporary files: moving it to another file system is a
    copy, which is incomplete after a kill or on a full disk.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Args:
            checkpoint: What Lightning collected.
            path: A local file.
            storage_options: Unused.

        Raises:
            OSError: It cannot be written; an earlier checkpoint of this name is unchanged.
        """
        # In memory first: the error of torch on a full disk does not say that it is full.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_file(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Reads a checkpoint for Lightning: plain data, and only the keys that `training_state` accepts.

        Args:
            path: A local file.
            map_location: Unused: Lightning moves what it takes from the CPU.
            weights_only: Unused: code in a file is never run.

        Raises:
            ValueError: See `load_checkpoint` and `training_state`.
        """
        # In memory, as the optimiser continues with these tensors.
        return training_state(Path(path), load_checkpoint(Path(path), mapped=False))


class MovableCheckpoint(ModelCheckpoint):
    """Keeps the best score when the folder of the run was moved, or has another path on another host.

    Lightning deletes files by the paths in a checkpoint, which may be any paths: only the file name of each is used,
    for a file of this callback in this run's own folder.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues with the files of this folder, where they are those of the checkpoint.

        Args:
            state_dict: What `TrainingState` has checked.
        """
        best = self._own(state_dict["best_model_path"])
        # A run that resumes elsewhere from a checkpoint of another one has no best checkpoint there yet.
        if best is None or not Path(best).is_file():
            return
        scores = {self._own(path): score for path, score in state_dict["best_k_models"].items()}
        worst = self._own(state_dict["kth_best_model_path"])
        own = {
            "dirpath": self.dirpath,
            "best_model_path": best,
            "best_model_score": state_dict["best_model_score"],
            # Lightning looks up the worst of them.
            "best_k_models": {path: score for path, score in scores.items() if path and worst in scores},
            "kth_value": state_dict["kth_value"],
            "kth_best_model_path": worst or "",
            # Of `save_last`, which is not used here.
            "last_model_path": "",
        }
        super().load_state_dict(own)

    def _own(self, path: str) -> str | None:
        """The path in this run's folder of a file that this callback may have written; None for any other."""
        assert self.dirpath is not None
        assert self.filename is not None
        literal, _, number = self.filename.partition("{")
        name = re.fullmatch(rf"{re.escape(literal)}{'[0-9]+' if number else ''}\.ckpt", Path(path).name)
        return str(Path(self.dirpath) / name[0]) if name else None


def remove_partials(folder: Path) -> None:
    """Removes the incomplete files of killed processes of a run.

    Args:
        folder: The run's folder. The caller holds its lock, so that no other process writes there.
    """
    for directory in (folder, folder / CHECKPOINTS):
        for partial in leftovers(directory) if directory.is_dir() else []:
            log.info("removing %s, left behind by a process that was killed", partial)
            partial.unlink()


def load_checkpoint(path: Path, checksums: bool = True, mapped: bool = True) -> Checkpoint:
    """Reads a checkpoint of this project without running code from the file.

    Args:
        path: Checkpoint file.
        checksums: Whether to read the whole file and compare its checksums, which finds a flipped byte in a weight;
            without, only what is used is read.
        mapped: See `cromss.io.safe_load.read_torch_file`.

    Returns:
        The checkpoint; tensors on the CPU.

    Raises:
        ValueError: The file is truncated, no checkpoint, or holds more than plain data.
    """
    try:
        return read_checkpoint(path, checksums, mapped)
    except UnreadableFileError as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({error}): it is damaged or of another kind; "
            "give another one, e.g. of an earlier epoch"
        ) from error
