"""A picture of a map beside what the sensors saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cromss.dataset.bands import RGB, select_bands
from cromss.dataset.geotiff import opened
from cromss.dataset.scaling import quantise
from cromss.plotting import Panel, draw_panels, image_panels, save_figure
from cromss.predict.scene import Scene

_LONGEST = 1000
"""Pixels of the longer side, whatever the scene's."""

_INCHES = 4.5


def write_preview(scene: Scene, map_: Path, target: Path, classes: Sequence[str], colours: Sequence[str]) -> None:
    """Draws the scene, reduced, and its map side by side, with a legend.

    Args:
        scene: What was mapped.
        map_: Its map of classes.
        target: PNG to write; it appears when it is complete.
        classes: Class names.
        colours: One colour per class.

    Raises:
        OSError: It cannot be written.
    """
    reduced = scene.reduced(_LONGEST)
    images: dict[str, np.ndarray] = {}
    rgb: list[int] = []
    for layer in scene.layers:
        stored = reduced.images[layer.modality]
        quantised = stored if layer.quantised else quantise(stored, layer.modality, layer.bands)
        images[layer.modality] = quantised[None] / np.float32(255)
        if layer.modality == "s2":
            names = [band.name for band in select_bands("s2", layer.bands)]
            rgb = [names.index(name) for name in RGB]
    panels = image_panels(images, rgb)
    for panel in panels:
        panel.values[:, ~reduced.valid] = 0
    with opened(map_) as source:
        shown = source.read(1, out_shape=reduced.valid.shape)  # from its overviews
    panels.append(Panel("map", "classes", shown[None]))
    save_figure(draw_panels(panels, classes, colours, _INCHES), target)
