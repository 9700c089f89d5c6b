"""What people and water put on the land: parcels, settlements, roads, rivers, lakes and shores.

Each function looks at ``(size, size)`` maps and returns new ones; `scene.py` stacks them.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from cromss.synthetic import fields
from cromss.synthetic.materials import (
    CROP_CALENDAR,
    M_ASPHALT,
    M_BARE,
    M_CROP,
    M_GRASS,
    M_LEAF,
    M_ROOF,
    M_SHRUB,
)

_TABLE = 64
"""Side of the tables from which lots and parcels draw their properties by row and column; they repeat beyond it."""

_PARCEL_COVER = np.array([M_CROP, M_GRASS, M_LEAF, M_SHRUB, M_BARE], dtype=np.uint8)
_PARCEL_SHARES = (0.78, 0.13, 0.03, 0.03, 0.03)
_CROP_SHARES = (0.34, 0.28, 0.15, 0.13, 0.10)
_GARDEN = np.array([M_GRASS, M_LEAF, M_SHRUB, M_ASPHALT], dtype=np.uint8)


def parcels(rng: Generator, size: int, width: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Fields: quarters with an orientation of their own, cut into rows, cut into strips of uneven width.

    Args:
        rng: Where they come from.
        size: Side of the map.
        width: Mean width of a strip in pixels.

    Returns:
        Four maps: name of the parcel (from 1), its material, its crop (row of `CROP_CALENDAR`), and its vigour, a
        deviation of mean 0 and standard deviation 1.
    """
    quarter, quarters = fields.cells(rng, size, 9 * width, ragged=0.3)
    first = rng.uniform(0, np.pi)
    # Neighbouring quarters share their direction or stand across it, as the land was divided along the same roads.
    angle = first + rng.choice([0, np.pi / 2, 0.35], quarters, p=[0.5, 0.3, 0.2]) + 0.04 * rng.standard_normal(quarters)
    strip = width * rng.lognormal(0, 0.3, quarters)
    length = strip * rng.uniform(2.0, 5.5, quarters)
    u, v = fields.rotated(size, np.take(angle, quarter))
    bend = 0.6 * fields.smooth_noise(rng, size, 24)
    row_position = (v + bend) / np.take(length, quarter) + 100
    row = np.floor(row_position).astype(np.intp)
    phase = np.take(rng.uniform(0, 2 * np.pi, _TABLE), (row + quarter) % _TABLE)
    position = (u + bend) / np.take(strip, quarter)
    position = position + 0.32 * np.sin(1.9 * position + phase) + 0.2 * np.sin(4.7 * position + 2 * phase) + phase + 500
    column = np.floor(position).astype(np.intp)
    slot = (quarter * 7 + row) % _TABLE * _TABLE + column % _TABLE

    cover = rng.choice(_PARCEL_COVER, _TABLE**2, p=_PARCEL_SHARES)
    crop = rng.choice(len(CROP_CALENDAR), _TABLE**2, p=_CROP_SHARES).astype(np.uint8)
    vigour = rng.standard_normal(_TABLE**2)
    material = np.take(cover, slot)
    # Between two rows runs a track, a hedge or nothing; between two strips sometimes a grassy margin.
    edge = np.take(rng.choice([0, 1, 2], _TABLE, p=[0.45, 0.35, 0.20]), (row + 3 * quarter) % _TABLE)
    beside = (row_position - row) * np.take(length, quarter) < 1.2
    material[beside & (edge == 1)] = M_GRASS
    material[beside & (edge == 2)] = M_LEAF
    margin = (position - column) * np.take(strip, quarter) < 0.8
    material[margin & (np.take(rng.random(_TABLE), column % _TABLE) < 0.12)] = M_GRASS
    return slot + 1, material, np.take(crop, slot), np.take(vigour, slot)


def settlement(rng: Generator, size: int, centre: tuple[float, float], radius: float) -> tuple[np.ndarray, np.ndarray]:
    """A town: streets around blocks, blocks of lots, on each lot a house of a few pixels in a garden or yard.

    Args:
        rng: Where it comes from.
        size: Side of the map.
        centre: Row and column of the middle in pixels.
        radius: Radius in pixels at which the town ends, on average.

    Returns:
        The mask of the town and the materials inside it.
    """
    y, x = fields.grid(size)
    distance = np.sqrt((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / radius
    density = 1.15 - distance + 0.22 * fields.fractal(rng, size, 14, 2)
    town = density > 0.15
    u, v = fields.rotated(size, rng.uniform(0, np.pi))
    bend = 0.8 * fields.smooth_noise(rng, size, 30)
    u, v = u + bend + 1000, v + bend + 1000
    long, short = rng.uniform(13, 20), rng.uniform(9, 12)
    street = (u % long < 1.3) | (v % short < 1.2)
    # A quarter of the town is trade and industry: lots twice as wide, large halls, paved yards.
    trade = fields.smooth_noise(rng, size, 20) > 0.75
    lot = np.where(trade, 8.0, rng.uniform(3.2, 4.2))
    row, column = np.floor(v / lot).astype(np.intp), np.floor(u / lot).astype(np.intp)
    slot = row % _TABLE * _TABLE + column % _TABLE
    half = np.take(rng.uniform(0.28, 0.44, _TABLE**2), slot)
    long_half = np.minimum(half * np.take(rng.uniform(1.0, 1.6, _TABLE**2), slot), 0.5)
    roof = (np.abs(v / lot - row - 0.5) < half) & (np.abs(u / lot - column - 0.5) < long_half)
    roof &= np.take(rng.random(_TABLE**2), slot) < np.clip(0.35 + 0.75 * density, 0, 0.97)
    paved = trade | (np.take(rng.random(_TABLE**2), slot) < np.clip(1.1 * density - 0.35, 0, 0.9))
    garden = np.take(rng.choice(_GARDEN, _TABLE**2, p=[0.55, 0.25, 0.10, 0.10]), slot)
    material = np.where(paved, M_ASPHALT, garden)
    material[roof] = M_ROOF
    material[street] = M_ASPHALT
    return town, material


def farmsteads(rng: Generator, size: int, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Small groups of buildings under trees, around the ``(n, 2)`` `centres`: mask and materials."""
    mask, material = np.zeros((size, size), dtype=bool), np.zeros((size, size), dtype=np.uint8)
    for centre in centres:
        count = int(rng.integers(2, 6))
        spots = centre + rng.normal(0, 3.2, (count + 3, 2))
        halves = rng.uniform(0.6, 1.7, (count + 3, 2))
        for k, (spot, half) in enumerate(zip(spots, halves, strict=True)):
            top, left = np.clip(np.ceil(spot - half), 0, size).astype(int)
            bottom, right = np.clip(np.floor(spot + half) + 1, 0, size).astype(int)
            mask[top:bottom, left:right] = True
            material[top:bottom, left:right] = M_LEAF if k < 3 else M_ROOF
    return mask, material


def road(rng: Generator, size: int, through: tuple[float, float], width: float) -> np.ndarray:
    """Mask of a gently winding road of `width` pixels through a point."""
    return np.abs(winding_distance(rng, size, through, bend=2.5, scale=45)) < width / 2


def winding_distance(rng: Generator, size: int, through: tuple[float, float], bend: float, scale: float) -> np.ndarray:
    """Signed distance in pixels from a line that winds by `bend` pixels over `scale` pixels through a point."""
    angle = rng.uniform(0, np.pi)
    y, x = fields.grid(size)
    across = (y - through[0]) * np.cos(angle) - (x - through[1]) * np.sin(angle)
    across = across + bend * fields.fractal(rng, size, scale, 2, gain=0.35)
    return fields.distance_to_level(across, 0.0)
