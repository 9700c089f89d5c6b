"""From materials to images: the optical and the radar sensor."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from cromss.synthetic import fields
from cromss.synthetic.materials import (
    BEST,
    CLOUD,
    CROP_CALENDAR,
    FINE,
    HAZE,
    LOW,
    M_CROP,
    M_GRASS,
    M_ROOF,
    M_WATER,
    REGIONAL,
    S1_BANDS,
    S2_BANDS,
    S2_RESOLUTION,
    STEP,
    TEXTURE,
    WORST,
)
from cromss.synthetic.parameters import SceneRates
from cromss.synthetic.scene import Scene

_DB = np.log(10) / 10


def surface_states(rng: Generator, scene: Scene, variation: float) -> np.ndarray:
    """State of each pixel between the two ends of its material, float64 ``(T, H, W)``, about 0 to 1.

    It is the season's mean, moved by the parcel, by a field over some ten pixels that stays over the year, by one that
    is new at each date, and by fine texture.
    """
    seasons, size, _ = scene.materials.shape
    lasting = fields.fractal(rng, size, 22, 4, gain=0.6)
    texture = rng.standard_normal((size, size))
    crop_shift = 0.07 * np.take(rng.standard_normal(64), scene.parcel % 64)
    open_water = 0.2 + 0.3 * rng.random() + 0.12 * rng.standard_normal((seasons,))
    local = 0.9 * REGIONAL * rng.standard_normal(len(REGIONAL))
    states = np.empty(scene.materials.shape)
    for t in range(seasons):
        material = scene.materials[t].astype(np.intp)
        state = np.take(WORST + (BEST - WORST) * scene.greenness[t], material)
        peak, width = (np.take(column, scene.crop) for column in CROP_CALENDAR.T)
        growth = np.exp(-0.5 * ((scene.year[t] + crop_shift - peak) / width) ** 2)
        state = np.where(material == M_CROP, 0.06 + 0.86 * growth, state)
        farmed = (scene.parcel > 0) & ((material == M_CROP) | (material == M_GRASS))
        afloat = open_water[t] + 0.55 * scene.shallow + 0.05 * lasting
        state = np.where(material == M_WATER, afloat, state)
        passing = fields.fractal(rng, size, 15, 2)
        moved = np.take(local, material) + np.take(REGIONAL, material) * (0.8 * lasting + 0.6 * passing)
        moved += np.take(FINE, material) * (0.8 * texture + 0.6 * rng.standard_normal((size, size)))
        moved += farmed * 0.14 * scene.vigour
        states[t] = np.clip(state + variation * moved, -0.25, 1.35)
    return states


def optical(rng: Generator, scene: Scene, states: np.ndarray, rates: SceneRates) -> np.ndarray:
    """Sentinel-2 L1C bands, uint16 ``(T, 13, H, W)``: reflectance x 10000 at the top of the atmosphere."""
    seasons, size, _ = scene.materials.shape
    down, right = np.gradient(scene.elevation)
    slope = (down + right) * (1 - scene.flat)
    speckles = rng.standard_normal((size, size))
    tillage = rng.standard_normal(512)
    path = 0.62 * LOW[M_WATER]
    kernels = [_kernel(sigma) for sigma in rates.point_spread]
    cloudy = np.any(scene.cloud > 0, axis=(1, 2))
    images = np.empty((seasons, len(S2_BANDS), size, size), dtype=np.uint16)
    for t in range(seasons):
        material, state = scene.materials[t].astype(np.intp), states[t]
        winter = 0.5 + 0.5 * np.cos(2 * np.pi * scene.year[t])
        shading = scene.relief * (3 + 3 * winter) * slope
        grain = np.take(TEXTURE, material) * (0.75 * speckles + 0.65 * rng.standard_normal((size, size)))
        light = np.clip((1 + rates.variation * grain) * (1 - np.clip(shading, -0.45, 0.45)), 0.3, 1.7)
        light *= 1 + 0.05 * rng.standard_normal()
        light *= 1 + 0.09 * rates.variation * np.take(tillage, scene.parcel % len(tillage)) * (scene.parcel > 0)
        veil = np.clip(0.10 * scene.haze[t] * (1 + 0.35 * fields.smooth_noise(rng, size, 60)), 0, 0.4)
        opacity = scene.cloud[t]
        # Shadows fall some pixels away from their clouds.
        shadow = 1 - 0.45 * np.minimum(1, 2 * np.pad(opacity, ((6, 0), (9, 0)), mode="edge")[:size, :size])
        air = 0.03 * rng.standard_normal()
        light *= shadow
        clear = (1 - 0.5 * veil) * (1 - opacity)
        hazy = veil * (1 - opacity)
        noise = 6 * rng.standard_normal((size, size))
        for band in range(len(S2_BANDS)):
            # Light that the air scatters reaches the sensor whatever the ground does: only the rest is shaded.
            value = np.take(STEP[:, band], material)
            value *= state
            value += np.take(LOW[:, band] - path[band], material)
            np.maximum(value, 0, out=value)
            value *= light
            value += path[band] * (1 + air)
            value = _spread(value, kernels[S2_RESOLUTION[band]])
            value *= clear
            value += hazy * HAZE[band]
            if cloudy[t]:
                value += opacity * CLOUD[band]
            if S2_RESOLUTION[band] == 0:
                value += np.roll(noise, 17 * band)
            np.clip(np.rint(value, out=value), 1, 65535, out=value)
            images[t, band] = value
    return images


def _kernel(sigma: float) -> np.ndarray:
    """Gaussian weights to three deviations on either side; a single 1 for no spread at all."""
    reach = int(np.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    return weights / weights.sum()


def _spread(value: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Blurs by the sensor's point response: neighbours mix at edges."""
    value = ndimage.correlate1d(value, kernel, axis=0, mode="nearest")
    return ndimage.correlate1d(value, kernel, axis=1, mode="nearest")


def radar(rng: Generator, scene: Scene, states: np.ndarray, rates: SceneRates) -> np.ndarray:
    """Sentinel-1 VV and VH, float32 ``(T, 2, H, W)`` in dB, rounded to 0.01 dB."""
    seasons, size, _ = scene.materials.shape
    _, right = np.gradient(scene.elevation)
    lasting = 70 * scene.relief * right * (1 - scene.flat) + 0.9 * rates.variation * fields.fractal(
        rng, size, 10, 3, gain=0.7
    )
    lasting = lasting + 0.6 * rates.variation * rng.standard_normal((2, size, size))
    # Corners between walls and ground send the pulse straight back: few pixels, the same at every date, up to 15 dB.
    corners = rng.standard_exponential((size, size)) ** 2
    kernel = _kernel(rates.speckle_sigma)
    # Spreading averages looks that are independent: fewer looks before it give the stated number after it.
    shape = rates.looks * (kernel**2).sum() ** 2
    images = np.empty((seasons, len(S1_BANDS), size, size), dtype=np.float32)
    for t in range(seasons):
        material, state = scene.materials[t].astype(np.intp), states[t]
        wind = 1.8 * rng.standard_normal()
        moisture = 0.8 * rng.standard_normal()
        bounce = np.where(material == M_ROOF, 0.55 + 0.45 * corners, 1.0)
        for k in range(len(S1_BANDS)):
            band = len(S2_BANDS) + k
            weather = np.full(len(LOW), moisture)
            weather[M_WATER] = wind / (1 + k)
            level = np.take(STEP[:, band], material)
            level *= state
            level += np.take(LOW[:, band] + weather, material)
            level += lasting[k]
            power = np.exp(_DB * level)
            power *= bounce
            power *= rng.standard_gamma(shape, (size, size)) / shape
            # Rounded, since the last bits of a logarithm differ from one processor to another.
            images[t, k] = np.round(np.log(np.maximum(_spread(power, kernel), 1e-5)) / _DB, 2)
    return images
