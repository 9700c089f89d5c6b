"""Which checkpoint a run goes on from, checked before any work starts."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

CHECKPOINTS = "checkpoints"
LAST = "last.ckpt"


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
