"""Chooses and checks the checkpoint that a run resumes from or tests, before any work starts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cromss.dataset.own_statistics import PUBLISHED
from cromss.io.checkpoint import Checkpoint
from cromss.io.plain import NotPlainError, shown
from cromss.runs.identity import differing_network, differing_settings, kind_of, listed_differences
from cromss.runs.names import BEST, CHECKPOINTS, LAST
from cromss.trainer.checkpoint_file import STEP, load_checkpoint
from cromss.trainer.training_state import fit_loop, progress

log = logging.getLogger(__name__)


def find_checkpoint(resume: str | None, folder: Path) -> Path | None:
    """Resolves `trainer.resume`.

    Args:
        resume: None starts a new run; ``"auto"`` resumes from the newest complete checkpoint of this folder, if any;
            else a path.
        folder: The run's folder.

    Returns:
        A checkpoint, or None to start from the beginning. One that ``"auto"`` finds has been read completely.

    Raises:
        ValueError: The path is no file, a new run would overwrite the checkpoints of an earlier one, or all of this
            folder's are damaged.
    """
    if resume is None:
        if any(_own_checkpoints(folder)):
            raise ValueError(f"{folder} already holds a run: resume it by trainer.resume=auto, or move the folder away")
        return None
    if resume == "auto":
        return _newest_whole(folder)
    path = Path(resume).expanduser()
    if not path.is_file():
        raise ValueError(f"trainer.resume={resume} is no file: give the path of a checkpoint, auto or null")
    return path


def _own_checkpoints(folder: Path) -> tuple[list[Path], list[Path]]:
    """Checkpoints of a run: those to resume from, and others in case these are damaged."""
    checkpoints = folder / CHECKPOINTS
    first = [checkpoints / name for name in (LAST, STEP)]
    # Not among the first: the run may have been killed after these and before the last one was written.
    others = [checkpoints / BEST, *sorted(checkpoints.glob("epoch-*.ckpt"))]
    return [path for path in first if path.exists()], [path for path in others if path.exists()]


def _newest_whole(folder: Path) -> Path | None:
    first, others = _own_checkpoints(folder)
    for paths in (first, others):
        reached = {}
        for path in paths:
            # Without checksums, so that only the newest is read completely.
            checkpoint = _whole(path, checksums=False)
            if checkpoint is not None:
                # Not by the time of the file, as clocks of hosts differ.
                reached[path] = (checkpoint.epoch, checkpoint.provenance.global_step)
        for path in sorted(reached, key=lambda path: reached[path], reverse=True):
            if _whole(path, checksums=True) is not None:
                return path
    if first or others:
        raise ValueError(
            f"all {len(first) + len(others)} checkpoint(s) of {folder} are damaged: move the folder away to start from "
            "the beginning, or give another checkpoint by trainer.resume=PATH"
        )
    return None


def _whole(path: Path, checksums: bool) -> Checkpoint | None:
    try:
        return load_checkpoint(path, checksums)
    except ValueError as error:
        log.warning("Resumes from an earlier checkpoint: %s", error)
        return None


def check_checkpoint(path: Path, module: nn.Module, config: Mapping[str, Any], own: bool = False) -> Checkpoint:
    """Checks that a checkpoint belongs to this model, this optimiser and these settings.

    Args:
        path: Checkpoint file.
        module: The module that is to resume from it.
        config: The resolved config of the new run.
        own: True where `find_checkpoint` found it as this folder's own: settings that change what is learned are then
            refused, and one whose epochs are all trained passes, as its test may still be missing. Otherwise a warning
            names other settings, and there must be epochs to train.

    Returns:
        The checkpoint.

    Raises:
        ValueError: The file is damaged, or does not fit; the message says how.
    """
    checkpoint = load_checkpoint(path, checksums=not own)
    differing = differing_settings(checkpoint.config, config)
    try:
        reached = progress(fit_loop(checkpoint.content.get("loops")))
    except NotPlainError as error:
        raise ValueError(f"{path} does not say how far it was trained ({error}): give another checkpoint") from error
    if own:
        _refuse_differing(path, differing)
    _check_shapes(path, checkpoint.state, module.state_dict())
    fixed = [text for key, text in differing.items() if kind_of(key).restored]
    if fixed:
        raise ValueError(
            f"{path} brings its own optimiser and schedule, which {', '.join(fixed)} would not change: resume with the "
            "same ones, or start a new run"
        )
    if differing and reached.ready != reached.processed:
        raise ValueError(
            f"{path} was written within an epoch, which cannot be half trained with other settings: "
            f"{listed_differences(differing)}. Give a checkpoint of a whole epoch, such as {LAST} beside it"
        )
    _check_epochs(path, reached.processed, config["trainer"]["epochs"], own)
    if differing:
        log.warning("Resuming with settings that are not the checkpoint's: %s", ", ".join(differing.values()))
    return checkpoint


def _refuse_differing(path: Path, differing: Mapping[str, str]) -> None:
    """ValueError where a run would resume in its own folder with other settings."""
    if not differing:
        return
    cures = "Train in another folder (hydra.run.dir=…), or move this one away"
    # Within an epoch no setting may change, even with an explicit path.
    whole = path.with_name(LAST) if path.name == STEP else path
    if whole.exists() and not any(kind_of(key).restored for key in differing):
        cures += f"; trainer.resume={whole} resumes from it nevertheless, with the new settings"
    raise ValueError(
        f"{path.parent.parent} holds a run with other settings, and resuming there would mix the two: "
        f"{listed_differences(differing)}. {cures}"
    )


def _check_epochs(path: Path, trained: int, epochs: int, own: bool) -> None:
    if own and trained > epochs:
        raise ValueError(
            f"{path} has {trained} trained epochs and trainer.epochs={epochs} asks for fewer: a run that resumes "
            "in its folder may have more epochs, not fewer"
        )
    if not own and trained >= epochs:
        raise ValueError(
            f"{path} has finished its {trained} epochs and trainer.epochs={epochs} asks for no more: "
            "raise trainer.epochs to continue the training"
        )


def load_tested(path: Path, module: nn.Module, config: Mapping[str, Any]) -> Checkpoint:
    """Loads the weights of a checkpoint into a module for a test.

    Args:
        path: Checkpoint file.
        module: The module; changed in place.
        config: The resolved config of this run.

    Returns:
        The checkpoint.

    Raises:
        ValueError: The file is damaged, belongs to another model, or was trained on another input.
    """
    checkpoint = load_checkpoint(path)
    _check_network(path, checkpoint.config, config)
    _check_shapes(path, checkpoint.state, module.state_dict())
    saved = checkpoint.config.get("dataset")
    # Checkpoints of earlier versions have no choice of statistics.
    trained = {"statistics": PUBLISHED, **(saved if isinstance(saved, dict) else {})}
    differing = [
        f"dataset.{key}={config['dataset'][key]} (trained with {shown(trained.get(key))})"
        for key in ("bands", "normalisation", "statistics", "classes")
        if config["dataset"][key] != trained.get(key)
    ]
    if differing:
        raise ValueError(f"{path} was trained on another input: {', '.join(differing)}; set what it was trained with")
    module.load_state_dict(checkpoint.state)
    return checkpoint


def _check_network(path: Path, saved: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """ValueError that names the settings in which the network of a checkpoint differs."""
    differing = differing_network(saved, config)
    if differing:
        was, now = (", ".join(f"{key}={values[which]}" for key, values in differing.items()) for which in (0, 1))
        raise ValueError(
            f"{path} is a checkpoint of another model: it was trained with {was}, and this test asks for {now}. Leave "
            "out what says so, such as trainer=finetune, and the test is set up as the checkpoint was trained; to "
            f"fine-tune its encoder, set backbone.weights=cromss backbone.weights_path={path} instead of "
            "trainer.test_only=true"
        )


def _check_shapes(path: Path, saved: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    shapes = [{shown(name): _form(value) for name, value in state.items()} for state in (saved, wanted)]
    differing = [
        f"{name}: checkpoint {shapes[0].get(name, 'has none')}, model {shapes[1].get(name, 'has none')}"
        for name in sorted(shapes[0].keys() | shapes[1].keys())
        if shapes[0].get(name) != shapes[1].get(name)
    ]
    if differing:
        lines = "\n".join(f"    {line}" for line in differing[:5])
        raise ValueError(
            f"{path} is a checkpoint of another model; {len(differing)} of its keys differ:\n{lines}\n"
            "  Resume with the backbone, fusion, bands and classes that it was trained with: "
            "its resolved config lies under the key `config` and beside it in config.yaml"
        )


def _form(tensor: Tensor) -> tuple[int, ...] | str:
    """The shape of a tensor; as text for integers, which are no weights."""
    return tuple(tensor.shape) if tensor.is_floating_point() else f"{tuple(tensor.shape)} of whole numbers"
