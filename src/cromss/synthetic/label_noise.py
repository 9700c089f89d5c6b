"""Noisy labels: what an automatic land cover map would say of a scene, with Dynamic World's kinds of error.

1. Regions (parcels, patches of natural cover) take a similar class as a whole. Which region errs has nothing to do with
   its looks, so a network cannot learn the error, only the truth behind it.
2. Small objects (houses, roads, streams) get the label of their surroundings, region by region.
3. Borders are displaced and corners rounded.
4. Most regions share their fate over the seasons, the others draw anew; hazy dates err more; under opaque clouds there
   is no label.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from cromss.synthetic import fields
from cromss.synthetic.materials import LABEL
from cromss.synthetic.parameters import CLASSES, NoiseRates
from cromss.synthetic.scene import Scene
from cromss.types import IGNORE_INDEX


def noisy_labels(rng: Generator, scene: Scene, rates: NoiseRates, noise: float) -> np.ndarray:
    """Labels with errors.

    Args:
        rng: The location's own generator for labels.
        scene: The truth and its parcels.
        rates: Rates at `noise` 1.
        noise: Factor on all rates; 0 returns the truth.

    Returns:
        uint8 ``(T, H, W)``: a class, or 255 under opaque cloud.
    """
    truth = scene.truth
    seasons, size, _ = truth.shape
    region, regions = _regions(rng, scene, rates.region)
    thresholds = _cumulative_confusion(rates, noise)
    shift_y, shift_x = (fields.smooth_noise(rng, size, 7) for _ in range(2))
    stays = rng.random(regions) < rates.repeat
    lasting_draw, lasting_lost = rng.random((2, regions, len(CLASSES)))
    clouds_unlabelled = rng.random((seasons,)) < rates.unlabelled * noise
    y, x = (axis.astype(np.intp) for axis in fields.grid(size))
    labels = np.empty_like(truth)
    for t in range(seasons):
        new_draw, new_lost = rng.random((2, regions, len(CLASSES)))
        draw = np.where(stays[:, None], lasting_draw, new_draw)
        lost = np.where(stays[:, None], lasting_lost, new_lost)
        plain = np.take(LABEL, scene.ground[t])
        slot = region * len(CLASSES) + truth[t]
        missed = (plain != truth[t]) & (np.take(lost, slot) < rates.lost * noise)
        seen = np.where(missed, plain, truth[t])
        slot = region * len(CLASSES) + seen
        rise = 1 + rates.haze * noise * scene.haze[t]
        seen = _confuse(seen, np.take(draw, slot) / rise, thresholds)
        amount = rates.shift * noise
        dy = np.rint(amount * (0.85 * shift_y + 0.53 * fields.smooth_noise(rng, size, 7))).astype(np.intp)
        dx = np.rint(amount * (0.85 * shift_x + 0.53 * fields.smooth_noise(rng, size, 7))).astype(np.intp)
        seen = seen[np.clip(y + dy, 0, size - 1), np.clip(x + dx, 0, size - 1)]
        labels[t] = _rounded(seen, rates.rounding * noise)
        if clouds_unlabelled[t]:
            labels[t][scene.cloud[t] > 0.5] = IGNORE_INDEX
    return labels


def _regions(rng: Generator, scene: Scene, spacing: float) -> tuple[np.ndarray, int]:
    """Pixels that err together: parcels on farmland, elsewhere ragged patches of two sizes."""
    size = scene.parcel.shape[0]
    coarse, coarse_cells = fields.cells(rng, size, 1.6 * spacing, ragged=2.5)
    fine, fine_cells = fields.cells(rng, size, 0.7 * spacing, ragged=1.5)
    split = rng.random(coarse_cells) < 0.4
    region = np.where(np.take(split, coarse), coarse_cells + fine, coarse)
    parcels = int(scene.parcel.max()) + 1
    return np.where(scene.parcel > 0, coarse_cells + fine_cells + scene.parcel, region), (
        coarse_cells + fine_cells + parcels
    )


def _cumulative_confusion(rates: NoiseRates, noise: float) -> np.ndarray:
    """``(9, 9)``: row = truth; a draw from the entry before column ``j`` up to that of ``j`` becomes class ``j``."""
    table = np.zeros((len(CLASSES), len(CLASSES)))
    for truth, row in rates.confusion.items():
        for label, rate in row.items():
            table[CLASSES.index(truth), CLASSES.index(label)] = rate * noise
    total = table.sum(axis=1, keepdims=True)
    return np.cumsum(table / np.maximum(total, 1.0), axis=1)


def _confuse(labels: np.ndarray, draw: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Replaces each label by the class whose interval its region's draw falls into; outside all of them it stays."""
    confused = labels.copy()
    for truth in np.flatnonzero(np.bincount(labels.ravel())):
        mask = labels == truth
        chosen = np.searchsorted(thresholds[truth], draw[mask], side="right")
        confused[mask] = np.where(chosen < len(CLASSES), chosen, truth)
    return confused


def _rounded(labels: np.ndarray, sigma: float) -> np.ndarray:
    """The class that prevails around each pixel, with Gaussian weights: thin shapes vanish, corners turn round."""
    if sigma == 0:
        return labels
    present = np.flatnonzero(np.bincount(labels.ravel())).astype(np.uint8)
    votes = [ndimage.gaussian_filter((labels == c).astype(np.float64), sigma, truncate=2.5) for c in present]
    return present[np.argmax(votes, axis=0)]
