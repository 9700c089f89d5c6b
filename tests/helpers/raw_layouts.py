"""Images laid out on disk as their publishers do: GeoTIFFs in native resolutions, in folders and in archives."""

import csv
import tarfile
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import rasterio

from cromss.dataset.bands import BANDS
from cromss.dataset.scaling import quantise
from helpers.locations import random_places, real_places, sized, turned

METRES = {"B1": 60, "B9": 60, "B10": 60, "B5": 20, "B6": 20, "B7": 20, "B8A": 20, "B11": 20, "B12": 20}
"""Of a pixel; the bands that are not named have 10."""

DFC2020_CODES = np.array([10, 1, 4, 5, 6, 2, 7, 9, 8], np.uint8)
"""Dynamic World class -> code; snow has a code that counts as unlabelled."""


def ssl4eo_s12(folder, places=None, seasons=4, size=264, header=True):
    """SSL4EO-S12: ``s1``, ``s2c`` and ``labels`` as ``<id>/<timestamp>/<band>.tif``, uint8, beside ``ids.csv``."""
    folder = Path(folder)
    rows = [["id", *(f"sub{number}" for number in range(1, seasons + 1))]] if header else []
    for number, place in (real_places() if places is None else places).items():
        rows.append([number, *(s2_time(number, season) for season in range(seasons))])
        for season in range(seasons):
            seen = turned(sized(place, size), season)
            at = folder / "s1" / f"{number:07d}" / s1_time(number, season)
            _write_bands(at, "s1", seen.s1, place)
            at = folder / "s2c" / f"{number:07d}" / s2_time(number, season)
            _write_bands(at, "s2", seen.s2, place)
            write_tiff(folder / "labels" / at.relative_to(folder / "s2c") / "label.tif", seen.labels[None], place)
    with (folder / "ids.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


def random_ssl4eo_s12(folder, locations, seed=0, **options):
    """`ssl4eo_s12` of random places."""
    return ssl4eo_s12(folder, random_places(locations, options.get("size", 264), seed), **options)


def s1_time(number, season):
    """Name of the S1 folder of a season, another than that of S2."""
    return f"{date(2020, 1, 10) + timedelta(91 * season + number % 7):%Y%m%d}T053000"


def s2_time(number, season):
    """Name of the folder of a season of S2 and the labels."""
    return f"{date(2020, 1, 14) + timedelta(91 * season + number % 11):%Y%m%d}T100000"


def as_tar_gz(folder, archive, order="by_modality", parts=("s1", "s2c")):
    """Packs an SSL4EO-S12 folder, one part after the other, or (``by_location``) the parts of an id together."""
    files = [file for part in parts for file in sorted((Path(folder) / part).rglob("*.tif"))]
    if order == "by_location":
        files.sort(key=lambda file: file.parts[-3])
    with tarfile.open(archive, "w:gz", compresslevel=1) as packed:
        for file in files:
            packed.add(file, file.relative_to(folder).as_posix())
    return Path(archive)


def cut_short(file, size):
    """Leaves the first bytes of a file, all but ``-size`` where that is negative."""
    Path(file).write_bytes(Path(file).read_bytes()[:size])
    return Path(file)


def tiles(folder, kind, places=None, size=510):
    """Tiles of Dynamic World ("dw") or of OSM land use ("osm"): ``<part>/<part>_<id>.tif``, edges without a label."""
    folder = Path(folder)
    for number, place in (real_places() if places is None else places).items():
        tile, name = sized(place, size), f"place{number}-20200114"
        write_tiff(folder / "s1" / f"s1_{name}.tif", tile.s1.astype(np.float32), place)
        write_tiff(folder / "s2" / f"s2_{name}.tif", tile.s2, place)
        marked = tile.labels + np.uint8(1)
        marked[:, -size // 8 :] = 0
        clouded = marked.copy()
        clouded[: size // 10, : size // 10] = 10
        write_tiff(folder / "dw" / f"dw_{name}.tif", clouded[None], place)
        if kind == "osm":
            write_tiff(folder / "osm" / f"osm_{name}.tif", _osm(marked)[None], place)
    return folder


def _osm(marked):
    """Codes 0..13 from 0..9: each class splits into an upper and a lower half where there are codes enough."""
    codes = marked.copy()
    lower = codes[len(codes) // 2 :]
    lower[(lower > 0) & (lower < 5)] += 9
    return codes


def dfc2020(folder, split="validation", places=None, size=256):
    """DFC2020: ``<split>/{s1,s2,dfc}_<split>/ROIs0000_<split>_<part>_0_p<i>.tif``, some pixels of codes 3 and 0."""
    for index, place in enumerate((real_places() if places is None else places).values()):
        patch = sized(place, size)
        codes = DFC2020_CODES[patch.labels]
        codes[: size // 16, : size // 2], codes[: size // 16, size // 2 :] = 3, 0
        for part, image in (("s1", patch.s1.astype(np.float64)), ("s2", patch.s2), ("dfc", codes[None])):
            name = f"ROIs0000_{split}_{part}_0_p{index}.tif"
            write_tiff(Path(folder) / split / f"{part}_{split}" / name, image, place)
    return Path(folder)


def write_tiff(path, image, place, metres=10):
    """Writes ``(K, H, W)`` where a place lies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = image.shape
    transform = rasterio.Affine(metres, 0, place.corner[0], 0, -metres, place.corner[1])
    profile = {"count": count, "height": height, "width": width, "dtype": image.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=place.crs, transform=transform, **profile) as file:
        file.write(image)


def _write_bands(folder, modality, image, place):
    for index, band in enumerate(BANDS[modality]):
        metres = METRES.get(band.name, 10) if modality == "s2" else 10
        step = metres // 10
        height, width = (length // step for length in image.shape[1:])
        coarse = image[index, : height * step, : width * step].reshape(height, step, width, step).mean((1, 3))
        write_tiff(folder / f"{band.name}.tif", quantise(coarse[None], modality, [index]), place, metres)
