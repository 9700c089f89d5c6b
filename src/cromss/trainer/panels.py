"""Pictures of the input, the labels and the predictions of a network: PNG files, and images with masks for W&B."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import wandb
from torch import Tensor

from cromss.dataset.bands import RGB, band_names
from cromss.dataset.datamodule import LocationDataModule
from cromss.dataset.sampling import SampleIndex
from cromss.plotting import Panel, draw_panels, image_panels, save_figure
from cromss.runs.patches import Column, Patches, write_patches
from cromss.trainer.module import SegmentationModule
from cromss.trainer.wandb_logger import RunLogger
from cromss.types import IGNORE_INDEX

_SIDE = 1.75
"""Inches per patch: a row of seven fits on a page."""


class PanelPictures(L.Callback):
    """Draws the same few patches every few epochs and at the end of the training.

    The pixels of the last picture are kept beside it, for the comparison of runs.

    Args:
        every: Epochs between two pictures.
        samples: Number of patches.
        bands: The S2 band subset, to find red, green and blue in.
        classes: Class names.
        colours: One colour per class.
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
        if (epoch + 1) % self.every and epoch + 1 != trainer.max_epochs and not trainer.should_stop:
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

        bands = band_names("s2", self.bands)
        images = {modality: _array(image) for modality, image in batch.images.items()}
        panels = image_panels(images, [bands.index(name) for name in RGB])
        panels.append(Panel("noisy label", "classes", _array(batch.labels)))
        if batch.truth is not None:
            panels.append(Panel("truth", "classes", _array(batch.truth)))
        for branch, prediction in predictions.items():
            panels.append(Panel(f"prediction {branch}", "classes", _array(prediction.logits.argmax(dim=1))))
        for branch in predictions:
            if branch in weights:
                panels.append(Panel(f"weight {branch}", "weight", _array(weights[branch])))
        return panels


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
