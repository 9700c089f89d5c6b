"""The land of one location and what the seasons do to it: one map of materials per season, and the exact labels."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.random import Generator

from cromss.synthetic import fields, layers
from cromss.synthetic.materials import (
    LABEL,
    M_ASPHALT,
    M_BARE,
    M_GRASS,
    M_LEAF,
    M_NEEDLE,
    M_REEDS,
    M_SHRUB,
    M_SNOW,
    M_SNOWY_FOREST,
    M_WATER,
)
from cromss.synthetic.parameters import BARE, CROPS, FLOODED, GRASS, SHRUB, Biome, SceneRates

_UNDER_SNOW = np.arange(len(LABEL), dtype=np.uint8)
"""Material -> what it looks like under snow: crowns show, roofs and streets are cleared, water stays open."""
_UNDER_SNOW[[M_LEAF, M_NEEDLE]] = M_SNOWY_FOREST
_UNDER_SNOW[np.isin(LABEL, (GRASS, FLOODED, CROPS, SHRUB, BARE))] = M_SNOW


@dataclass(frozen=True)
class Scene:
    """One location before any sensor looks at it.

    Attributes:
        biome: Name of its biome.
        materials: uint8 ``(T, H, W)``: row of the material table.
        ground: The same without small objects (houses, roads, streams): the labels where these are missed.
        parcel: int ``(H, W)``: name of the parcel from 1, 0 outside farmland.
        crop: uint8 ``(H, W)``: row of the crop calendar.
        vigour: float ``(H, W)``: deviation of the parcel from the mean state of its cover, in deviations.
        shallow: float ``(H, W)`` in [0, 1]: 1 at the shore, falling towards open water.
        flat: float ``(H, W)`` in [0, 1]: 1 on water, where nothing slopes.
        elevation: float ``(H, W)``, standard deviation 1 over many locations.
        relief: How strongly slopes are shaded.
        year: float ``(T,)``: date in years after midwinter, in [0, 1).
        greenness: float ``(T,)`` in [0, 1]: state of the vegetation outside of the fields.
        haze: float ``(T,)`` in [0, 1].
        cloud: float ``(T, H, W)`` in [0, 1]: opacity; opaque from 0.5.
    """

    biome: str
    materials: np.ndarray
    ground: np.ndarray
    parcel: np.ndarray
    crop: np.ndarray
    vigour: np.ndarray
    shallow: np.ndarray
    flat: np.ndarray
    elevation: np.ndarray
    relief: float
    year: np.ndarray
    greenness: np.ndarray
    haze: np.ndarray
    cloud: np.ndarray

    @property
    def truth(self) -> np.ndarray:
        """Exact classes, uint8 ``(T, H, W)``."""
        return np.take(LABEL, self.materials)


def build_scene(rng: Generator, size: int, seasons: int, rates: SceneRates) -> Scene:
    """Draws one location.

    Args:
        rng: The location's own generator.
        size: Side in pixels of 10 m.
        seasons: Number of dates, evenly spread over the year from midsummer on.
        rates: What the world is made of.

    Returns:
        The scene; every map is ``(size, size)``.
    """
    shares = np.array([biome.share for biome in rates.biomes.values()], dtype=np.float64)
    name = list(rates.biomes)[int(np.searchsorted(np.cumsum(shares), rng.random() * shares.sum(), side="right"))]
    biome = rates.biomes[name]
    elevation = fields.fractal(rng, size, 90, 5, gain=0.45)
    # Mountains have ridges: lines where one slope turns into the next.
    elevation = elevation + biome.relief * (0.8 - np.abs(fields.fractal(rng, size, 50, 4, gain=0.45)))
    patches = fields.fractal(rng, size, 9, 3, gain=0.6)
    ground = _natural_cover(rng, size, biome, elevation, patches)
    parcel = np.zeros((size, size), dtype=np.intp)
    crop = np.zeros((size, size), dtype=np.uint8)
    vigour = np.zeros((size, size))
    fertile = fields.fractal(rng, size, 75, 3, gain=0.4)
    if fertile.min() < _quantile(biome.farm):
        parcel, cover, crop, vigour = layers.parcels(rng, size, biome.parcel * rng.lognormal(0, 0.25))
        # A parcel is farmed as a whole, so farmland ends along its parcels.
        mean = np.bincount(parcel.ravel(), fertile.ravel()) / np.maximum(np.bincount(parcel.ravel()), 1)
        parcel = np.where(np.take(mean, parcel) < _quantile(biome.farm), parcel, 0)
        ground = np.where(parcel > 0, cover, ground)

    shore, narrow, seaside = _waters(rng, size, biome, elevation)
    reach = biome.marsh * rng.uniform(6, 26)
    marsh = (shore < reach * (0.7 + 0.6 * patches)) & (fields.fractal(rng, size, 30, 2) < _quantile(biome.marsh))
    beach = (shore < (2.5 if seaside else 1.2) * (1 + patches)) & ~marsh
    ground = np.where(marsh, M_REEDS, np.where(beach, M_BARE, ground))
    parcel[marsh | beach] = 0
    cover = _small_objects(rng, size, biome, ground, shore)
    water = np.minimum(shore, narrow)
    shallow = np.exp(np.minimum(water, 0) / 12)
    flat = np.clip(1 - water / 4, 0, 1)

    year = (0.5 + np.arange(seasons) / seasons + 0.05 * rng.uniform(-1, 1, seasons)) % 1.0
    warm = -np.cos(2 * np.pi * year)
    greenness = biome.green + (1 - biome.green) * np.clip(0.5 + 0.62 * warm + 0.1 * rng.standard_normal(seasons), 0, 1)
    level = 0.6 * rng.standard_normal(seasons)
    cold_spell = 0.25 * rng.standard_normal(seasons)
    materials, plain = np.empty((2, seasons, size, size), dtype=np.uint8)
    for t in range(seasons):
        temperature = biome.warmth + biome.swing * warm[t] + cold_spell[t] - 0.6 * biome.relief * elevation
        temperature = temperature + 0.08 * patches
        for land, bank, out in ((cover, water, materials[t]), (ground, shore, plain[t])):
            out[...] = np.where(bank < level[t], M_WATER, land)
            frozen = temperature < 0
            out[frozen] = np.take(_UNDER_SNOW, out[frozen])
            out[(temperature < -0.9) & (out == M_WATER)] = M_SNOW

    haze = np.where(rng.random(seasons) < rates.haze, rng.uniform(0.3, 1.0, seasons), 0.0)
    clouded = rng.random(seasons) < rates.cloud
    cloud = np.zeros((seasons, size, size))
    for t in np.flatnonzero(clouded).tolist():
        cloud[t] = np.clip(0.9 * (fields.fractal(rng, size, 40, 4, gain=0.5) - 0.9), 0, 0.95)
    return Scene(
        name,
        materials,
        plain,
        parcel,
        crop,
        vigour,
        shallow,
        flat,
        elevation,
        biome.relief,
        year,
        greenness,
        haze,
        cloud,
    )


def _quantile(share: float) -> float:
    """Level below which a unit Gaussian field lies on `share` of the pixels."""
    return -np.inf if share <= 0 else np.inf if share >= 1 else NormalDist().inv_cdf(share)


def _natural_cover(rng: Generator, size: int, biome: Biome, elevation: np.ndarray, patches: np.ndarray) -> np.ndarray:
    """Forest in moist areas, bare ground in dry ones, between them a mosaic of shrub and grass."""
    dryness = 0.75 * fields.fractal(rng, size, 38, 4, gain=0.55) + 0.4 * patches + 0.35 * elevation
    dryness = dryness / np.sqrt(0.75**2 + 0.4**2 + 0.35**2)
    # No two locations of a biome have the same cover: mostly one or two kinds prevail.
    weights = np.array([biome.trees, biome.shrub, biome.grass, biome.bare]) * rng.lognormal(0, 0.9, 4)
    trees, shrub, grass, bare = weights / weights.sum()
    stand = fields.smooth_noise(rng, size, 16)
    forest = np.where(stand < _quantile(biome.conifers), M_NEEDLE, M_LEAF)
    clearing = fields.smooth_noise(rng, size, 7) > 2.3
    scrubby = fields.fractal(rng, size, 26, 3, gain=0.6) < _quantile(shrub / max(shrub + grass, 1e-9))
    return np.select(
        [dryness < _quantile(trees), dryness < _quantile(1 - bare)],
        [np.where(clearing, M_GRASS, forest), np.where(scrubby, M_SHRUB, M_GRASS)],
        M_BARE,
    ).astype(np.uint8)


def _waters(rng: Generator, size: int, biome: Biome, elevation: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """Distances in pixels from the shores of broad and of narrow waters, negative inside, and: is it at sea."""
    broad, narrow = np.full((2, size, size), np.inf)
    if biome.lake > 0:
        broad = np.minimum(broad, fields.distance_to_level(elevation, _quantile(biome.lake)))
    if rng.random() < biome.river:
        width = min(rng.lognormal(1.0, 0.75), size / 5)
        through = (rng.uniform(0.2, 0.8) * size, rng.uniform(0.2, 0.8) * size)
        scale = rng.uniform(22, 40) + 2 * width
        bank = np.abs(layers.winding_distance(rng, size, through, bend=0.45 * scale, scale=scale)) - width / 2
        if width > 3.5:
            broad = np.minimum(broad, bank)
        else:
            narrow = np.minimum(narrow, bank)
    sea = bool(rng.random() < biome.coast)
    if sea:
        through = (rng.uniform(0.3, 0.7) * size, rng.uniform(0.3, 0.7) * size)
        broad = np.minimum(broad, layers.winding_distance(rng, size, through, bend=12, scale=70))
    return broad, narrow, sea


def _small_objects(rng: Generator, size: int, biome: Biome, ground: np.ndarray, shore: np.ndarray) -> np.ndarray:
    """Town, roads and farmsteads on dry ground."""
    cover = ground.copy()
    dry = shore > 1.5
    for _ in range(int(rng.poisson(biome.roads))):
        through = (rng.uniform(0, size), rng.uniform(0, size))
        cover[layers.road(rng, size, through, rng.uniform(1.1, 2.2)) & dry] = M_ASPHALT
    if biome.farm > 0:
        centres = rng.uniform(0, size, (int(rng.poisson(biome.farm * 4 * (size / 96) ** 2)), 2))
        mask, material = layers.farmsteads(rng, size, centres)
        cover = np.where(mask & dry, material, cover)
    if rng.random() < biome.town:
        centre = (rng.uniform(0, size), rng.uniform(0, size))
        town, material = layers.settlement(rng, size, centre, biome.town_size * rng.lognormal(0, 0.4))
        cover = np.where(town & dry, material, cover)
    return cover.astype(np.uint8)
