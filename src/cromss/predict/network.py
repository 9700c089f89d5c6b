"""A trained network as its checkpoint describes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import torch
from matplotlib.colors import is_color_like
from pydantic import AfterValidator, Field
from torch import Tensor

from cromss.dataset.bands import band_positions, select_bands
from cromss.dataset.classes import check_class_names
from cromss.dataset.own_statistics import PUBLISHED, OwnStatistics
from cromss.dataset.scaling import Scale, quantise
from cromss.fusion import FusionNetwork, fused_probs
from cromss.io.checkpoint import Checkpoint
from cromss.io.plain import NotPlainError, Record, parse, shown
from cromss.trainer.checkpoint_file import load_checkpoint
from cromss.trainer.training_state import statistics
from cromss.types import seen_by
from cromss.weights.part import strip_prefix
from cromss.weights.saved import saved_network


def _colour(name: str) -> str:
    if not is_color_like(name):
        raise ValueError("it has to be a colour such as #1f77b4 or blue")
    return name


Colour = Annotated[str, Field(max_length=40), AfterValidator(_colour)]


class SavedInput(Record):
    """The keys of a saved config's group ``dataset`` that say how a network's input was made."""

    bands: int | str
    normalisation: Literal["quantise", "standardise", "reflectance"]
    # Checkpoints of earlier versions do not have this key.
    statistics: Literal["published", "store"] = "published"
    classes: list[str]
    colours: list[Colour]
    crop: Annotated[int, Field(ge=1, le=2**16)] | Literal["auto"]


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and how its input was made.

    Attributes:
        net: In evaluation mode.
        bands: Modality that it sees -> positions in `cromss.dataset.bands.BANDS`.
        normalisation: See `cromss.dataset.scaling.scale`.
        statistics: Statistics for scaling, if not the published ones.
        classes: Class names.
        colours: One colour per class, as ``"#rrggbb"``.
        crop: Pixels per side that it was trained on; None where the checkpoint has no crop.
    """

    net: FusionNetwork
    bands: Mapping[str, tuple[int, ...]]
    normalisation: str
    statistics: OwnStatistics
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    crop: int | None

    @property
    def smallest(self) -> int:
        """Pixels per side that it needs at least."""
        return self.net.backbone.smallest

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(self.net.parameters()).device

    def __call__(self, images: Mapping[str, Tensor], branches: Sequence[str]) -> dict[str, Tensor]:
        """Stored values by modality, ``(B, K, H, W)`` -> logits by branch, ``(B, C, H, W)``."""
        bands = {modality: self.bands[modality] for modality in images}
        images = {modality: self._in_trained_units(modality, image) for modality, image in images.items()}
        quantised = {modality: image.dtype == torch.uint8 for modality, image in images.items()}
        return self.net(Scale(self.normalisation, bands, quantised, self.statistics.bands)(images), branches)

    def _in_trained_units(self, modality: str, image: Tensor) -> Tensor:
        """Values in the units of `statistics`; ValueError where quantised ones would have to be raw."""
        trained, given = self.statistics.quantised.get(modality), image.dtype == torch.uint8
        if trained is None or trained == given:
            return image
        if given:
            raise ValueError(
                f"this {modality} image is uint8, and the network was trained with dataset.statistics=store on raw "
                "units: give the image in raw units"
            )
        return quantise(image, modality, self.bands[modality])

    def branches(self, modalities: Collection[str], branch: str | None) -> tuple[str, ...]:
        """The branches to predict from.

        Args:
            modalities: What there are images of.
            branch: The one that was asked for; None takes all that these modalities feed.

        Raises:
            ValueError: No such branch, or the images are not those that it sees.
        """
        if branch is not None and branch not in self.net.branches:
            raise ValueError(
                f"branch={branch} is none of this network's: choose one of {', '.join(self.net.branches)}, or null for "
                "the mean of all"
            )
        asked = self.net.branches if branch is None else (branch,)
        wanted = sorted({modality for name in asked for modality in seen_by(name)})
        fed = tuple(name for name in asked if set(seen_by(name)) <= set(modalities))
        if not fed or not set(modalities) <= set(wanted):
            who = "this network" if branch is None else f"branch={branch}"
            raise ValueError(
                f"{who} sees {' and '.join(wanted)}, and images of {' and '.join(sorted(modalities))} are given: "
                f"give {'=… and '.join(wanted)}=…"
            )
        return fed


def load_network(path: Path) -> TrainedNetwork:
    """Builds the network of a checkpoint of this project.

    Args:
        path: Checkpoint file of a pretraining or a fine-tuning.

    Raises:
        ValueError: The file is absent, damaged, of another program, or asks for something else than a network.
    """
    if not path.is_file():
        raise ValueError(f"checkpoint={path} is no file: give a checkpoint of a run, e.g. RUN/checkpoints/last.ckpt")
    checkpoint = load_checkpoint(path)
    try:
        return _network(checkpoint)
    except ValueError as error:
        raise ValueError(
            f"the network that {path} describes cannot be built ({error}): give another checkpoint; where it was "
            "written by another version, train anew"
        ) from error


def _network(checkpoint: Checkpoint) -> TrainedNetwork:
    saved = saved_network(checkpoint.config)
    try:
        dataset = parse(SavedInput, checkpoint.config.get("dataset"))
    except NotPlainError as error:
        raise NotPlainError(f"in the group dataset of its config, {error}") from error
    classes = check_class_names(dataset.classes, "dataset.classes")
    bands = {modality: band_positions(modality, dataset.bands) for modality in saved.bands}
    for modality, number in saved.bands.items():
        if len(bands[modality]) != number:
            raise NotPlainError(
                f"its config has dataset.bands={shown(dataset.bands)}, {len(bands[modality])} bands of {modality}, and "
                f"fusion.bands.{modality}={number}"
            )
    if not saved.classes == len(classes) <= len(dataset.colours):
        raise NotPlainError(
            f"its config has fusion.classes={saved.classes}, {len(classes)} dataset.classes and "
            f"{len(dataset.colours)} dataset.colours"
        )
    own = OwnStatistics({}, {}) if dataset.statistics == PUBLISHED else statistics(checkpoint.content)
    net = saved.build(strip_prefix(checkpoint.state, "net"))
    bands = {modality: bands[modality] for modality in net.bands}
    if dataset.statistics != PUBLISHED:
        _check_statistics(own, bands)
    net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return TrainedNetwork(
        net,
        bands,
        dataset.normalisation,
        own,
        classes,
        tuple(dataset.colours),
        crop=dataset.crop if isinstance(dataset.crop, int) else None,
    )


def _check_statistics(own: OwnStatistics, bands: Mapping[str, Sequence[int]]) -> None:
    for modality, positions in bands.items():
        found = [band.name for band in own.bands.get(modality, ())]
        wanted = [band.name for band in select_bands(modality, positions)]
        if found != wanted:
            raise NotPlainError(
                f"it was trained with dataset.statistics=store, and its statistics of {modality} are those of "
                f"{' '.join(found) or 'no band'} instead of {' '.join(wanted)}"
            )


def class_probs(logits: Tensor, branches: int) -> Tensor:
    """Blended logits of all branches ``(branches * C, h, w)`` -> mean probabilities, float32 ``(C, h, w)``."""
    return fused_probs(part[None] for part in logits.chunk(branches))[0]
