"""Checkpoints: written whole or not at all; which one a run goes on from, checked before any work starts."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import nn

from cromss.atomic import write_file

CHECKPOINTS = "checkpoints"
LAST = "last.ckpt"


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
        return own if own.exists() else None
    if not Path(resume).is_file():
        raise ValueError(f"trainer.resume={resume} is no file: give the path of a checkpoint, auto or null")
    return Path(resume)


def check_checkpoint(path: Path, module: nn.Module) -> None:
    """Makes sure that a checkpoint is whole and belongs to this model.

    Args:
        path: Checkpoint file.
        module: The module that is to go on from it.

    Raises:
        ValueError: The file is damaged or holds another model; the message shows where they differ.
    """
    saved = {name: tuple(value.shape) for name, value in load_checkpoint(path)["state_dict"].items()}
    wanted = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    differing = [
        f"{name}: checkpoint {saved.get(name, 'has none')}, model {wanted.get(name, 'has none')}"
        for name in sorted(saved.keys() | wanted.keys())
        if saved.get(name) != wanted.get(name)
    ]
    if differing:
        shown = "\n".join(f"    {line}" for line in differing[:5])
        raise ValueError(
            f"{path} is a checkpoint of another model; {len(differing)} of its keys differ:\n{shown}\n"
            "  Resume with the backbone, fusion, bands and classes that it was trained with: "
            "its resolved config lies under the key `config` and beside it in config.yaml"
        )


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
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({reason}): it is damaged or of another kind"
        ) from error
    if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
        raise ValueError(f"{path} holds no state_dict: it is not a checkpoint of a training run")
    return checkpoint
