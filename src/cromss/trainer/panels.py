"""Pictures of what the network sees, is told, and predicts: a PNG a time, and images with masks for W&B."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import wandb
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Patch
from torch import Tensor

from cromss.dataset.bands import RGB, band_names
from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.sampling import SampleIndex
from cromss.io.atomic import write_file
from cromss.plotting import class_labels, fonts_for
from cromss.runs.patches import Column, Patches, write_patches
from cromss.trainer.module import SegmentationModule
from cromss.trainer.wandb_logger import RunLogger
from cromss.types import IGNORE_INDEX

UNLABELLED = "#000000"

_SIDE = 1.75
"""Inches a patch: a row of seven fits on a page."""


@dataclass(frozen=True)
class Panel:
    """One column of the picture for all samples.

    Attributes:
        title: Heading.
        kind: ``"image"`` (B, H, W, 3) in [0, 1], ``"classes"`` (B, H, W) or ``"weight"`` (B, H, W) in [0, 1].
        values: The pixels.
    """

    title: str
    kind: str
    values: np.ndarray


class PanelPictures(L.Callback):
    """Draws the same few patches every few epochs and at the end of the training.

    The pixels of the last picture are kept beside it, for the comparison of runs.

    Args:
        every: Epochs between two pictures.
        samples: Number of patches.
        bands: The S2 band subset, to find red, green and blue in.
        classes: Class names.
        colours: A colour a class.
        folder: Where ``epoch-<n>.png`` and `cromss.runs.names.PATCHES` go.
    """

    def __init__(
        self, every: int, samples: int, bands: int | str, classes: Sequence[str], colours: Sequence[str], folder: Path
    ) -> None:
        self.every = every
        self.samples = samples
        self.bands = bands
        self.classes = list(classes)
        self.colours = list(colours)
        self.folder = folder

    def path(self, epoch: int) -> Path:
        """Where the picture of an epoch lies; counted from 0, as in the metrics and checkpoints."""
        return self.folder / f"epoch-{epoch:03d}.png"

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws where a picture is due."""
        epoch = trainer.current_epoch
        if (epoch + 1) % self.every and epoch + 1 != trainer.max_epochs:
            return
        assert isinstance(pl_module, SegmentationModule)
        data: LocationDataModule = trainer.datamodule  # type: ignore[attr-defined]
        shown = self._shown(data)
        # On every process: the selection may gather its thresholds from all of them.
        panels = self._panels(pl_module, data, shown)
        if trainer.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_figure(draw_panels(panels, self.classes, self.colours, _SIDE), self.path(epoch))
            names = [data.dataset.reader.location_id(index) for index in shown]
            write_patches(self.folder, Patches(epoch, names, [_column(panel) for panel in panels]))
            for logger in trainer.loggers:
                if isinstance(logger, RunLogger):
                    logger.log_pictures(_wandb_images(panels, self.classes, self.path(epoch)), epoch)

    def _shown(self, data: LocationDataModule) -> list[int]:
        chosen = [*_spread(data.val_locations, self.samples), *_spread(data.train_locations, self.samples)]
        return chosen[: self.samples]

    @torch.no_grad()
    def _panels(self, module: SegmentationModule, data: LocationDataModule, shown: Sequence[int]) -> list[Panel]:
        raw = data.dataset.__getitems__([SampleIndex(index, data.eval_season, 0) for index in shown])
        batch = data.eval_view(data.transfer_batch_to_device(raw, module.device, 0))
        was_training = module.training
        module.eval()
        with module.trainer.precision_plugin.forward_context():
            predictions = module(batch.images)
        weights = module.selection(predictions, batch.labels, module.current_epoch).label
        module.train(was_training)

        names = {modality: band_names(modality, self.bands) for modality in batch.images}
        panels = image_panels({modality: _array(image) for modality, image in batch.images.items()}, names)
        panels.append(Panel("noisy label", "classes", _array(batch.labels)))
        if batch.truth is not None:
            panels.append(Panel("truth", "classes", _array(batch.truth)))
        for branch, prediction in predictions.items():
            panels.append(Panel(f"prediction {branch}", "classes", _array(prediction.logits.argmax(dim=1))))
        for branch in predictions:
            if branch in weights:
                panels.append(Panel(f"weight {branch}", "weight", _array(weights[branch])))
        return panels


def image_panels(images: Mapping[str, np.ndarray], bands: Mapping[str, Sequence[str]]) -> list[Panel]:
    """What the sensors saw, in colours.

    Args:
        images: Modality -> ``(B, K, H, W)`` in [0, 1].
        bands: Modality -> names of its bands; those of S2 hold `RGB`.
    """
    panels = []
    if "s2" in images:
        rgb = images["s2"][:, [list(bands["s2"]).index(name) for name in RGB]]
        panels.append(Panel("Sentinel-2", "image", stretch(rgb)))
    if "s1" in images:
        vv, vh = images["s1"].swapaxes(0, 1)
        panels.append(Panel("Sentinel-1", "image", stretch(np.stack([vv, vh, (1 + vv - vh) / 2], axis=1))))
    return panels


def save_figure(figure: Figure, target: Path) -> None:
    """Writes a figure as PNG; it appears when it is complete."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_file(target, content.getbuffer())


def draw_panels(panels: Sequence[Panel], classes: Sequence[str], colours: Sequence[str], side: float) -> Figure:
    """Draws one row a sample and one column a panel, with a legend of the classes.

    Args:
        panels: Columns, all with the same number of samples.
        classes: Class names.
        colours: A colour a class.
        side: Inches a patch.

    Returns:
        A figure.
    """
    rows = len(panels[0].values)
    figure = Figure(figsize=(side * len(panels) + 0.3, side * rows + 0.9), layout="compressed")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, len(panels), squeeze=False)
    palette = ListedColormap([*colours[: len(classes)], UNLABELLED])
    for column, panel in enumerate(panels):
        axes[0, column].set_title(panel.title, fontsize=9)
        for row in range(rows):
            axis = axes[row, column]
            axis.set_axis_off()
            values = panel.values[row]
            if panel.kind == "classes":
                shown = np.where(values == IGNORE_INDEX, len(classes), values)
                axis.imshow(shown, cmap=palette, vmin=-0.5, vmax=len(classes) + 0.5, interpolation="nearest")
            elif panel.kind == "weight":
                mappable = axis.imshow(values, cmap="magma", vmin=0, vmax=1, interpolation="nearest")
            else:
                axis.imshow(values, interpolation="nearest")
    if any(panel.kind == "weight" for panel in panels):
        figure.colorbar(mappable, ax=axes, shrink=0.6, label="selection weight", pad=0.01)
    labels = class_labels(classes)
    handles = [Patch(color=colour, label=label) for label, colour in zip(labels, colours, strict=False)]
    figure.legend(
        handles=[*handles, Patch(color=UNLABELLED, label="unlabelled")],
        loc="outside lower center",
        ncols=min(5, len(handles) + 1),
        prop=FontProperties(family=fonts_for(labels), size=8),
        frameon=False,
    )
    return figure


def _spread(locations: Tensor, number: int) -> list[int]:
    """Up to `number` of the locations, at even distances, as neighbours are often alike."""
    if len(locations) == 0:
        return []
    return locations[torch.linspace(0, len(locations) - 1, min(number, len(locations))).round().long()].tolist()


def _column(panel: Panel) -> Column:
    """A panel in bytes."""
    values = panel.values if panel.kind == "classes" else (255 * panel.values).round().clip(0, 255)
    return Column(panel.title, panel.kind, values.astype(np.uint8))


def _array(values: Tensor) -> np.ndarray:
    return values.detach().float().cpu().numpy() if values.is_floating_point() else values.cpu().numpy()


def stretch(images: np.ndarray) -> np.ndarray:
    """Brings out the contrast of images whose values lie in [0, 1], from the 2nd to the 98th percentile.

    Each channel by itself: seen through the air, blue is bright everywhere.

    Args:
        images: ``(B, 3, H, W)``.

    Returns:
        ``(B, H, W, 3)`` in [0, 1].
    """
    low, high = np.percentile(images, (2, 98), axis=(2, 3), keepdims=True)
    # At least a tenth of the range, so that what is nearly flat stays so: snow white, water black.
    missing = np.maximum(0.1 - (high - low), 0)
    low, high = low - missing * low, high + missing * (1 - high)
    return np.moveaxis(np.clip((images - low) / (high - low), 0, 1), 1, -1)


def _wandb_images(panels: Sequence[Panel], classes: Sequence[str], picture: Path) -> dict[str, Any]:
    """For W&B: the picture as drawn, and one image a sample with the class panels as masks to switch on and off.

    Masks carry the names of the classes, but W&B chooses their colours; the picture has ours and a legend.
    """
    labels = dict(enumerate(classes)) | {IGNORE_INDEX: "unlabelled"}
    image = next(panel for panel in panels if panel.kind == "image")
    masks = [panel for panel in panels if panel.kind == "classes"]
    return {
        "panels": wandb.Image(str(picture)),
        "masks": [
            wandb.Image(
                image.values[row],
                masks={mask.title: {"mask_data": mask.values[row], "class_labels": labels} for mask in masks},
            )
            for row in range(len(image.values))
        ],
    }
