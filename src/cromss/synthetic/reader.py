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
from cromss.synthetic.parameters import CLASSES, NoiseRates, SceneRates
from cromss.synthetic.scene import build_scene
from cromss.synthetic.sensors import optical, radar, surface_states

SMALLEST = 32
"""Side in pixels below which a patch holds no structure worth the name."""


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


def generate_location(
    index: int,
    *,
    seed: int,
    size: int,
    seasons: int,
    noise: float,
    scene: Mapping[str, Any],
    noise_rates: Mapping[str, Any],
) -> SyntheticLocation:
    """Generates location `index`: the same arrays in any order, process and machine.

    Args:
        index: Which location, from 0.
        seed: Which world, from 0.
        size: Side in pixels of 10 m, at least 32.
        seasons: Number of dates T, at least 1, evenly spread over the year from midsummer on.
        noise: Factor on all `noise_rates`: 0 gives labels equal to the truth, 1 the rates as they stand. The images do
            not depend on it.
        scene: Rates of the landscape, as in ``conf/dataset/_synthetic_scene.yaml``.
        noise_rates: Rates of the label errors, as there.

    Returns:
        Images, noisy labels and truth.

    Raises:
        ValueError: A parameter is out of range, unknown or missing.
    """
    _check(seed=seed, size=size, seasons=seasons, noise=noise)
    if index < 0:
        raise ValueError(f"location {index} does not exist: locations count from 0")
    return _generate(index, seed, size, seasons, noise, SceneRates.build(scene), NoiseRates.build(noise_rates))


def _check(seed: int, size: int, seasons: int, noise: float) -> None:
    if size < SMALLEST:
        raise ValueError(f"size={size} is too small for a scene: give at least {SMALLEST} pixels")
    if seasons < 1:
        raise ValueError(f"seasons={seasons}: a location has at least 1 season")
    if seed < 0:
        raise ValueError(f"seed={seed}: seeds count from 0")
    if not 0 <= noise < float("inf"):
        raise ValueError(
            f"noise={noise} is no factor: give 0 (labels equal the truth), 1 (the rates as they stand) or more"
        )


def _generate(
    index: int, seed: int, size: int, seasons: int, noise: float, scene_rates: SceneRates, noise_rates: NoiseRates
) -> SyntheticLocation:
    scene = build_scene(generator(seed, index, 0), size, seasons, scene_rates)
    states = surface_states(generator(seed, index, 1), scene, scene_rates.variation)
    images = {
        "s1": radar(generator(seed, index, 2), scene, states, scene_rates),
        "s2": optical(generator(seed, index, 3), scene, states, scene_rates),
    }
    labels = noisy_labels(generator(seed, index, 4), scene, noise_rates, noise)
    return SyntheticLocation(images, labels, scene.truth, scene.biome)


class SyntheticReader(LocationReader):
    """Random access to synthetic locations; remembers the last one, since its seasons are read one by one.

    Args:
        locations: Number of locations, at least 1.
        seed: See `generate_location`, likewise the others.
        size: Side in pixels.
        seasons: Number of dates T.
        noise: Factor on all noise rates.
        scene: Rates of the landscape.
        noise_rates: Rates of the label errors.

    Raises:
        ValueError: A parameter is out of range, unknown or missing.
    """

    def __init__(
        self,
        locations: int,
        seed: int,
        size: int,
        seasons: int,
        noise: float,
        scene: Mapping[str, Any],
        noise_rates: Mapping[str, Any],
    ) -> None:
        _check(seed=seed, size=size, seasons=seasons, noise=noise)
        if locations < 1:
            raise ValueError(f"locations={locations}: a dataset has at least 1 location")
        self._locations = locations
        self._settings = (seed, size, seasons, noise, SceneRates.build(scene), NoiseRates.build(noise_rates))
        self._remembered: tuple[int, SyntheticLocation] | None = None
        self.name = "the embedded dataset"
        self.info = DatasetInfo(
            modalities={
                "s1": ModalityInfo(bands=S1_BANDS, dtype="float32", quantised=False),
                "s2": ModalityInfo(bands=S2_BANDS, dtype="uint16", quantised=False),
            },
            classes=CLASSES,
            seasons=seasons,
            size=(size, size),
            has_truth=True,
        )

    def __len__(self) -> int:
        """Number of locations."""
        return self._locations

    def location(self, index: int) -> SyntheticLocation:
        """All of one location; generated unless it was the last one asked for."""
        if self._remembered is None or self._remembered[0] != index:
            self._remembered = (index, _generate(self._checked(index), *self._settings))
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
