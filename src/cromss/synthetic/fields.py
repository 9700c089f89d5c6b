"""Random fields on the pixel grid: the smooth noise, cells and line distances that scenes are made of.

Everything is elementwise float64 from a seeded `numpy.random.PCG64`: no BLAS and no thread decides a value, so a field
is the same on every machine, in every process and whatever was generated before it.
"""

from __future__ import annotations

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

_BSPLINE_STD = 151 / 315
"""Standard deviation of unit white noise after cubic B-spline interpolation in two dimensions, averaged over phases."""


def generator(seed: int, index: int, stream: int) -> Generator:
    """Random numbers of one stream (scene, states, radar, optical, labels) of one location, independent of others."""
    return Generator(PCG64(SeedSequence([seed, index, stream])))


def _spline_weights(fraction: np.ndarray) -> tuple[np.ndarray, ...]:
    rest = 1 - fraction
    return (
        rest * rest * rest / 6,
        2 / 3 - fraction * fraction * (2 - fraction) / 2,
        2 / 3 - rest * rest * (2 - rest) / 2,
        fraction * fraction * fraction / 6,
    )


def smooth_noise(rng: Generator, size: int, scale: float) -> np.ndarray:
    """Gaussian noise that varies over `scale` pixels, ``(size, size)``, mean 0 and standard deviation 1."""
    nodes = int(np.ceil(size / scale)) + 5
    grid = rng.standard_normal((nodes, nodes)) / _BSPLINE_STD
    position = np.arange(size) / scale + rng.random((2, 1))
    first = position.astype(np.intp)
    weights = _spline_weights(position - first)
    rows = sum(w[0, :, None] * grid.take(first[0] + k, axis=0) for k, w in enumerate(weights))
    field = weights[0][1] * rows.take(first[1], axis=1)
    for k in (1, 2, 3):
        field += weights[k][1] * rows.take(first[1] + k, axis=1)
    return field


def fractal(rng: Generator, size: int, scale: float, octaves: int, gain: float = 0.5) -> np.ndarray:
    """Sum of smooth noise of `scale`, `scale` / 2, ... pixels with amplitudes 1, `gain`, ...; unit deviation."""
    amplitudes = [gain**k for k in range(octaves)]
    field = np.zeros((size, size))
    for k, amplitude in enumerate(amplitudes):
        field += amplitude * smooth_noise(rng, size, scale / 2**k)
    return field / np.sqrt(sum(a * a for a in amplitudes))


def cells(rng: Generator, size: int, spacing: float, ragged: float = 0.0) -> tuple[np.ndarray, int]:
    """Voronoi cells of a jittered grid.

    Args:
        rng: Where the seeds come from.
        size: Side of the map in pixels.
        spacing: Mean distance of the seeds in pixels.
        ragged: Standard deviation in pixels by which smooth noise bends the borders.

    Returns:
        The cell of each pixel, int ``(size, size)``, and the number that all cell names stay below.
    """
    side = int(np.ceil(size / spacing)) + 4
    seeds = rng.random((2, side, side))
    y, x = grid(size)
    if ragged:
        y = y + ragged * smooth_noise(rng, size, 6.0)
        x = x + ragged * smooth_noise(rng, size, 6.0)
    y = np.clip(y / spacing + 2, 1, side - 2.001)
    x = np.clip(x / spacing + 2, 1, side - 2.001)
    row, column = np.floor(y).astype(np.intp), np.floor(x).astype(np.intp)
    best = np.full((size, size), np.inf)
    name = np.zeros((size, size), dtype=np.intp)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            candidate = (row + dy) * side + column + dx
            distance = (y - row - dy - np.take(seeds[0], candidate)) ** 2
            distance += (x - column - dx - np.take(seeds[1], candidate)) ** 2
            nearer = distance < best
            np.copyto(best, distance, where=nearer)
            np.copyto(name, candidate, where=nearer)
    return name, side * side


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixel coordinates ``y (size, 1)`` and ``x (1, size)``, float64."""
    axis = np.arange(size, dtype=np.float64)
    return axis[:, None], axis[None, :]


def rotated(size: int, angle: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in pixels along and across the direction `angle` (radians), from the middle of the map."""
    y, x = grid(size)
    y, x = y - size / 2, x - size / 2
    cosine, sine = np.cos(angle), np.sin(angle)
    return x * cosine + y * sine, y * cosine - x * sine


def distance_to_level(field: np.ndarray, level: float) -> np.ndarray:
    """Signed distance in pixels, to first order, to where `field` crosses `level`; negative below it."""
    down, right = np.gradient(field)
    steepness = np.sqrt(down**2 + right**2)
    return (field - level) / np.maximum(steepness, 0.25 * steepness.mean() + 1e-9)
