"""Places on the ground with images and labels: the real ones, and random ones for tests without them."""

from typing import NamedTuple

import numpy as np
import rasterio

from helpers.scenes import pixels
from helpers.shared import REAL_PLACES

REAL_IDS = {"282D_485L_3_3": 97132, "609U_541L_3_0": 5, "637U_59R_1_3": 12345}


class Place(NamedTuple):
    """S1 in dB and S2 as reflectance x 10000, ``(K, H, W)``, classes 0..8 ``(H, W)``, and where it lies."""

    s1: np.ndarray
    s2: np.ndarray
    labels: np.ndarray
    crs: str
    corner: tuple[float, float]


def real_places():
    """Id -> each of the real places."""
    places = {}
    for name, number in REAL_IDS.items():
        arrays = []
        for part in ("s1", "s2", "dw"):
            with rasterio.open(REAL_PLACES / name / f"{part}.tif") as file:
                arrays.append(file.read())
                crs, corner = f"EPSG:{file.crs.to_epsg()}", (file.transform.c, file.transform.f)
        places[number] = Place(arrays[0], arrays[1], arrays[2][0], crs, corner)
    return places


def random_places(count, size=264, seed=0):
    """Id -> places with smooth images and areas of all nine classes, for tests without the real ones."""
    places = {}
    for number in range(count):
        s1, s2 = (pixels(modality, size, size, 2 * (seed + number)) for modality in ("s1", "s2"))
        fields = pixels("s2", size, size, 2 * (seed + number) + 1).astype(float)[:9]
        labels = (fields / fields.mean((1, 2), keepdims=True)).argmax(0).astype(np.uint8)
        places[100 + 7 * number] = Place(s1, s2, labels, "EPSG:32632", (400_000 + 10_000 * number, 5_300_000))
    return places


def sized(place, size):
    """Cut to a size, or grown to it by reflection."""
    rows, columns = (np.pad(np.arange(n), (0, max(0, size - n)), "reflect")[:size] for n in place.labels.shape)
    return place._replace(**{part: _at(getattr(place, part), rows, columns) for part in ("s1", "s2", "labels")})


def _at(image, rows, columns):
    return image[..., rows[:, None], columns]


def turned(place, season):
    """Season 0 as it is, the others turned by quarters, and every second round mirrored."""
    images = [np.rot90(image, season % 4, (-2, -1)) for image in place[:3]]
    images = [np.flip(image, -1) if season // 4 % 2 else image for image in images]
    return Place(*(np.ascontiguousarray(image) for image in images), place.crs, place.corner)
