"""A trained network as its checkpoint describes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor

from cromss.backbone.part import below
from cromss.class_names import check_class_names
from cromss.dataset.bands import Scale, band_positions, quantise
from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.own_statistics import PUBLISHED, OwnStatistics
from cromss.fusion.fused import fused_probs
from cromss.fusion.images import FusionNetwork
from cromss.trainer.resume import load_checkpoint
from cromss.types import Prediction, seen_by

BUILDABLE = (
    "cromss.backbone.Backbone",
    "cromss.fusion.LateFusion",
    "cromss.fusion.MidFusion",
    "cromss.fusion.SingleFusion",
)
"""All that a checkpoint may have built: its config is content of a file, and could name any function."""


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and how its input was made.

    Attributes:
        net: In evaluation mode.
        bands: Modality that it sees -> positions in `cromss.dataset.bands.BANDS`.
        normalisation: See `cromss.dataset.bands.scale`.
        statistics: What it scales by where that is not the published statistics.
        classes: Class names.
        colours: A colour a class, as ``"#rrggbb"``.
        crop: Pixels a side that it was trained on; None where the checkpoint does not tell.
        smallest: Pixels a side that it needs at least.
    """

    net: FusionNetwork
    bands: Mapping[str, tuple[int, ...]]
    normalisation: str
    statistics: OwnStatistics
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    crop: int | None
    smallest: int

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
            ValueError: No such branch, images that it lacks, or images that nobody looks at.
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
    config = checkpoint["config"]
    try:
        fusion, dataset = config["fusion"], config["dataset"]
        if foreign := sorted(set(_targets(fusion)) - set(BUILDABLE)):
            raise ValueError(f"{path} asks to call {', '.join(foreign)}, which is no network of cromss: it is refused")
        net, backbone = instantiate(fusion), instantiate(fusion["backbone"])
        bands = {modality: band_positions(modality, dataset["bands"]) for modality in net.bands}
        crop = dataset["crop"]
        # Checkpoints from before there was a choice do not name it.
        own = {} if dataset.get("statistics", PUBLISHED) == PUBLISHED else checkpoint[LocationDataModule.__qualname__]
        statistics = OwnStatistics.from_dict(own)
        classes = check_class_names(dataset["classes"], f"{path}: dataset.classes")
        details = dataset["normalisation"], statistics, classes, tuple(dataset["colours"])
    except KeyError as error:
        raise ValueError(
            f"the config in {path} lacks {error}: it was written by another version; train anew"
        ) from error
    except (InstantiationException, TypeError, AttributeError) as error:
        raise ValueError(
            f"the network that {path} describes cannot be built ({error.__cause__ or error}): it was written by "
            "another version; train anew"
        ) from error
    try:
        net.load_state_dict(below(checkpoint["state_dict"], "net."))
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit the network that its config describes: {error}") from error
    net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return TrainedNetwork(net, bands, *details, crop if isinstance(crop, int) else None, backbone.smallest)


def class_probs(logits: Tensor, branches: int) -> Tensor:
    """Blended logits of all branches ``(branches * C, h, w)`` -> mean probabilities, float32 ``(C, h, w)``."""
    return fused_probs([Prediction(part[None]) for part in logits.chunk(branches)])[0]


def _targets(node: Any) -> Iterator[str]:
    """Everything that instantiating a config would call."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in ("_target_", "_partial_", "_args_"):
                yield str(value)
            else:
                yield from _targets(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from _targets(value)
