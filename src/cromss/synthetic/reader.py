"""Synthetic locations behind the interface of every other source, generated when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.synthetic.fields import generator
from cromss.synthetic.label_noise import noisy_labels
from cromss.synthetic.materials import S1_BANDS, S2_BANDS
from cromss.synthetic.parameters import CLASSES, World
from cromss.synthetic.scene import build_scene
from cromss.synthetic.sensors import optical, radar, surface_states


@dataclass(frozen=True)
class SyntheticLocation:
    """One generated location.

    Attributes:
        images: ``"s1"``: float32 ``(T, 2, H, W)`` in dB; ``"s2"``: uint16 ``(T, 13, H, W)``, reflectance x 10000.
        labels: Noisy labels, uint8 ``(T, H, W)``: a class from 0, or 255 under opaque cloud.
        truth: Exact classes, uint8 ``(T, H, W)``.
        biome: Name of the landscape.
    """

    images: Mapping[str, np.ndarray]
    labels: np.ndarray
    truth: np.ndarray
    biome: str


def generate_location(index: int, **world: Any) -> SyntheticLocation:
    """Generates location `index`: the same arrays in any order, process and machine.

    Args:
        index: Which location, from 0.
        world: The fields of `World`: ``seed``, ``size``, ``seasons``, ``noise``, ``scene`` and ``noise_rates``.

    Returns:
        Images, noisy labels and truth.

    Raises:
        ValueError: A parameter is out of range, unknown or missing.
    """
    if index < 0:
        raise ValueError(f"location {index} does not exist: locations count from 0")
    return _generate(index, World.build(world))


def _generate(index: int, world: World) -> SyntheticLocation:
    streams = [generator(world.seed, index, stream) for stream in range(5)]
    scene = build_scene(streams[0], world.size, world.seasons, world.scene)
    states = surface_states(streams[1], scene, world.scene.variation)
    images = {
        "s1": radar(streams[2], scene, states, world.scene),
        "s2": optical(streams[3], scene, states, world.scene),
    }
    labels = noisy_labels(streams[4], scene, world.noise_rates, world.noise)
    return SyntheticLocation(images, labels, scene.truth, scene.biome)


class SyntheticReader(LocationReader):
    """Random access to synthetic locations; remembers the last one, since its seasons are read one by one.

    Args:
        locations: Number of locations, at least 1.
        world: See `generate_location`.

    Raises:
        ValueError: A parameter is out of range, unknown or missing.
    """

    def __init__(self, locations: int, **world: Any) -> None:
        if locations < 1:
            raise ValueError(f"locations={locations}: a dataset has at least 1 location")
        self._locations = locations
        self.world = World.build(world)
        self._remembered: tuple[int, SyntheticLocation] | None = None
        self.name = "the embedded dataset"
        self.info = DatasetInfo(
            modalities={
                "s1": ModalityInfo(bands=S1_BANDS, dtype="float32", quantised=False),
                "s2": ModalityInfo(bands=S2_BANDS, dtype="uint16", quantised=False),
            },
            classes=CLASSES,
            seasons=self.world.seasons,
            size=(self.world.size, self.world.size),
            has_truth=True,
        )

    def __len__(self) -> int:
        """Number of locations."""
        return self._locations

    def location(self, index: int) -> SyntheticLocation:
        """All of one location; generated unless it was the last one asked for."""
        if self._remembered is None or self._remembered[0] != index:
            self._remembered = (index, _generate(self._checked(index), self.world))
        return self._remembered[1]

    def _id(self, index: int) -> str:
        """The index with seven digits, e.g. ``"0000012"``."""
        return f"{index:07d}"

    def _fill(self, out: np.ndarray, index: int, season: int, modality: str, bands: Sequence[int]) -> None:
        out[...] = self.location(index).images[modality][season, list(bands)]

    def _labels(self, index: int) -> np.ndarray:
        return self.location(index).labels.copy()

    def _truth(self, index: int) -> np.ndarray:
        return self.location(index).truth.copy()
