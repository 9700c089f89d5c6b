"""What surfaces look like: a table of spectra and backscatter, with two states per material.

A pixel of a material in state ``f`` has the value ``low + f (high - low)`` in all 15 bands at once, so bands are
correlated as they are in nature: when a crop grows, red and shortwave infrared fall while near infrared rises.

Optical values are top-of-atmosphere reflectance x 10000 (Sentinel-2 L1C, with the blue path radiance in them), radar
values dB. Sources: class means of three real locations (`tests/helpers/real_classes.csv`) anchor water, trees, grass,
crops, shrub, sand and snow. Roofs, asphalt, flooded reeds, needle-leaved and snowy forest are not (or not reliably)
labelled there; their rows follow the well-known shapes: man-made surfaces rise slowly to the shortwave infrared,
reeds are vegetation darkened by the water below them, needles are darker than leaves in the near infrared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cromss.dataset.bands import BANDS
from cromss.synthetic.parameters import BARE, BUILT, CROPS, FLOODED, GRASS, SHRUB, SNOW, TREES, WATER

S1_BANDS, S2_BANDS = (tuple(band.name for band in BANDS[modality]) for modality in ("s1", "s2"))
S2_RESOLUTION = (2, 0, 0, 0, 1, 1, 1, 0, 1, 2, 2, 1, 1)
"""Position of each band's ground sampling in (10 m, 20 m, 60 m)."""


@dataclass(frozen=True)
class Material:
    """One surface.

    Attributes:
        name: What it is.
        label: Its class.
        low: 13 reflectances x 10000, then VV and VH in dB, in state 0.
        high: The same in state 1.
        worst: Mean state in the dead season (winter, drought, calm).
        best: Mean state in the best season.
        regional: Deviation of the state over some ten pixels.
        fine: Deviation of the state from pixel to pixel.
        texture: Relative deviation of brightness from pixel to pixel, all bands alike.
    """

    name: str
    label: int
    low: tuple[float, ...]
    high: tuple[float, ...]
    worst: float
    best: float
    regional: float
    fine: float
    texture: float


# fmt: off
_ROWS = (
    #         B1    B2    B3    B4    B5    B6    B7    B8    B8A   B9   B10  B11   B12     VV     VH
    Material("water", WATER,
             (1330,  980,  660,  420,  390,  350,  340,  310,  300,  110,   8,  110,   70, -19.0, -24.0),
             (1620, 1480, 1420, 1150, 1060,  820,  820,  680,  630,  230,   9,  260,  160, -17.0, -22.5),
             0.35, 0.35, 0.04, 0.03, 0.03),
    Material("leaf forest", TREES,
             (1430, 1090,  900,  820, 1010, 1280, 1430, 1500, 1680,  560,  13, 1750, 1020,  -8.8, -15.2),
             (1300,  950,  780,  450,  800, 2150, 2700, 2650, 2980,  760,  10, 1280,  540,  -7.6, -13.6),
             0.10, 0.85, 0.12, 0.06, 0.085),
    Material("needle forest", TREES,
             (1420, 1020,  790,  600,  740, 1150, 1300, 1320, 1480,  520,  12, 1050,  560,  -9.2, -15.0),
             (1300,  920,  700,  440,  650, 1480, 1780, 1750, 1950,  600,  10,  860,  390,  -8.2, -14.2),
             0.40, 0.75, 0.15, 0.06, 0.10),
    Material("snowy forest", TREES,
             (1900, 1550, 1280, 1150, 1300, 1650, 1800, 1820, 1950,  750,  18,  900,  520,  -9.5, -15.6),
             (3200, 2850, 2500, 2500, 2650, 2850, 2950, 2950, 3050, 1300,  30,  950,  620, -10.5, -16.5),
             0.45, 0.45, 0.22, 0.14, 0.12),
    Material("grass", GRASS,
             (1560, 1270, 1140, 1180, 1450, 1750, 1950, 2000, 2250,  740,  16, 2420, 1500, -12.2, -19.0),
             (1420, 1090,  990,  620, 1150, 2700, 3250, 3200, 3500,  950,  13, 1800,  860, -10.2, -16.6),
             0.12, 0.66, 0.22, 0.05, 0.05),
    Material("reeds", FLOODED,
             (1440, 1130,  980,  840,  930, 1020, 1080, 1050, 1130,  380,  10,  780,  430, -14.5, -21.0),
             (1390, 1070,  960,  700, 1030, 2050, 2420, 2350, 2560,  640,  11, 1250,  600,  -9.8, -17.2),
             0.25, 0.52, 0.20, 0.12, 0.06),
    Material("crop", CROPS,
             (1600, 1240, 1080,  990, 1240, 1560, 1720, 1760, 1980,  760,  18, 2020, 1200, -12.0, -19.2),
             (1500, 1090,  900,  450,  960, 3000, 3800, 3750, 4150, 1180,  16, 1500,  640, -10.2, -16.0),
             0.00, 1.00, 0.05, 0.035, 0.04),
    Material("shrub", SHRUB,
             (1520, 1330, 1330, 1500, 1720, 1900, 2050, 2080, 2300,  720,  13, 2950, 2150, -12.8, -19.5),
             (1350, 1020,  850,  680,  980, 1680, 1980, 1980, 2290,  660,  11, 1750,  950, -10.0, -15.6),
             0.40, 0.90, 0.20, 0.14, 0.08),
    Material("asphalt", BUILT,
             (1480, 1230, 1110, 1060, 1130, 1230, 1310, 1340, 1420,  540,  13, 1480, 1230, -12.5, -20.0),
             (1680, 1520, 1500, 1560, 1680, 1800, 1900, 1960, 2060,  720,  14, 2200, 1900, -10.0, -17.5),
             0.40, 0.40, 0.25, 0.15, 0.05),
    Material("roof", BUILT,
             (1480, 1240, 1160, 1280, 1420, 1560, 1660, 1720, 1830,  600,  13, 2020, 1720,  -7.0, -13.8),
             (2250, 2300, 2420, 2620, 2720, 2820, 2930, 3000, 3060,  980,  16, 3300, 2900,  -3.5, -11.0),
             0.35, 0.35, 0.25, 0.22, 0.10),
    Material("bare", BARE,
             (1580, 1360, 1330, 1420, 1560, 1720, 1880, 1880, 2080,  700,  13, 2550, 2050, -13.8, -20.5),
             (2360, 2480, 2660, 3000, 3100, 3260, 3480, 3360, 3720,  900,  15, 4250, 3600, -17.8, -23.0),
             0.60, 0.50, 0.20, 0.06, 0.05),
    Material("snow", SNOW,
             (4100, 3500, 2750, 2900, 3050, 3250, 3300, 3200, 3350, 1750,  45,  920,  890, -13.6, -20.6),
             (7400, 6950, 5600, 6300, 6700, 6900, 6900, 6700, 6900, 3750,  87,  890,  870, -14.8, -22.4),
             0.55, 0.55, 0.38, 0.07, 0.06),
)
# fmt: on

(M_WATER, M_LEAF, M_NEEDLE, M_SNOWY_FOREST, M_GRASS, M_REEDS, M_CROP, M_SHRUB, M_ASPHALT, M_ROOF, M_BARE, M_SNOW) = (
    np.arange(len(_ROWS), dtype=np.uint8)
)

LABEL = np.array([row.label for row in _ROWS], dtype=np.uint8)
"""Class of each material."""
LOW = np.array([row.low for row in _ROWS], dtype=np.float64)
"""``(materials, 15)``: 13 optical, then 2 radar bands, in state 0."""
STEP = np.array([row.high for row in _ROWS], dtype=np.float64) - LOW
"""Change from state 0 to state 1."""
WORST, BEST, REGIONAL, FINE, TEXTURE = (
    np.array([getattr(row, name) for row in _ROWS]) for name in ("worst", "best", "regional", "fine", "texture")
)

CROP_CALENDAR = np.array([(0.35, 0.12), (0.58, 0.14), (0.50, 0.32), (0.68, 0.12), (0.50, 0.01)])
"""Peak of growth and its width, in years after midwinter: winter cereal, summer crop, fodder, late crop, fallow."""

HAZE = np.array([3300, 2900, 2350, 1950, 1850, 1750, 1700, 1650, 1600, 800, 45, 1000, 700], dtype=np.float64)
"""Reflectance x 10000 of a thick haze: bright in the blue, clear in the shortwave infrared."""
CLOUD = np.array([5600, 5400, 5200, 5300, 5400, 5500, 5600, 5500, 5600, 3000, 420, 4200, 3300], dtype=np.float64)
"""Reflectance x 10000 of an opaque cloud."""
