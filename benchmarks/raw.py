"""Random locations in the raw layout of SSL4EO-S12, written at the speed of the disk: folders, or one archive.

GDAL takes a millisecond to write a TIFF and a location has 64 of them. So one of each size is written by GDAL, and then
its pixels are replaced. Pixels are windows of a few smooth fields with noise, which gzip shrinks about as much as real
bands (to two thirds); labels are areas of 2 to 5 classes.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import rasterio
import torch
from isal import igzip_threaded
from rasterio.io import MemoryFile
from scipy.ndimage import gaussian_filter

from benchmarks.head import blobs
from cromss.dataset.bands import BANDS

SIZE, CLASSES = 264, 9
SEASONS = ("20200114T100000", "20200412T100000", "20200715T100000", "20201013T100000")
METRES = {"B1": 60, "B9": 60, "B10": 60, "B5": 20, "B6": 20, "B7": 20, "B8A": 20, "B11": 20, "B12": 20}
PARTS = {
    "s1": tuple(band.name for band in BANDS["s1"]),
    "s2c": tuple(band.name for band in BANDS["s2"]),
    "labels": ("label",),
}
"""Folder -> names of the files of a season, in the order of the archive."""

_FIELDS, _FIELD_SIDE = 6, 768
_LABELS = 32
_ORIGIN = (32632, 400_000, 5_300_000)


def random_ssl4eo_s12(folder: Path, locations: int, seed: int = 0) -> Path:
    """Writes the folders ``s1``, ``s2c`` and ``labels``, and ``ids.csv``, of so many locations.

    Args:
        folder: Where to.
        locations: Number of locations of 264 px and four seasons; 2.4 MB each.
        seed: Decides about the content.

    Returns:
        The folder.
    """
    for name, content in _files(locations, seed):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_ids(folder / "ids.csv", locations)
    return folder


def random_archive(archive: Path, locations: int, seed: int = 0) -> Path:
    """Writes the same files as `random_ssl4eo_s12` into one ``.tar.gz``, one part after the other.

    Args:
        archive: The file to write.
        locations: Number of locations.
        seed: Decides about the content.

    Returns:
        The archive.
    """
    with (
        igzip_threaded.open(archive, "wb", threads=1) as packed,
        tarfile.open(fileobj=packed, mode="w|", bufsize=2**20) as tar,
    ):
        for name, content in _files(locations, seed):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return archive


def write_ids(path: Path, locations: int) -> Path:
    """Writes the table of the first so many locations, ``id, sub1, sub2, sub3, sub4``."""
    rows = [",".join((str(_id(index)), *SEASONS)) for index in range(locations)]
    path.write_text("\n".join(("id,sub1,sub2,sub3,sub4", *rows)) + "\n")
    return path


def _id(index: int) -> int:
    return 5 + 2 * index


def _files(locations: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file, part by part."""
    random = np.random.default_rng(seed)
    fields = {part: _fields(random, spread) for part, spread in (("s1", 30), ("s2c", 12))}
    generator = torch.Generator().manual_seed(seed)
    labels = [blobs(len(SEASONS), SIZE, CLASSES, generator).numpy() for _ in range(_LABELS)]
    templates = {metres: _Template(metres) for metres in (10, 20, 60)}
    for part, bands in PARTS.items():
        for index in range(locations):
            for season, time in enumerate(SEASONS):
                for band in bands:
                    metres = METRES.get(band, 10)
                    if part == "labels":
                        pixels = np.roll(labels[index % _LABELS][season], 37 * (index // _LABELS), axis=1)
                    else:
                        pixels = _window(fields[part], SIZE * 10 // metres, random)
                    yield f"{part}/{_id(index):07d}/{time}/{band}.tif", templates[metres].fill(pixels)


class _Template:
    """A TIFF of one uint8 band whose pixels can be replaced."""

    def __init__(self, metres: int) -> None:
        side = SIZE * 10 // metres
        pixels = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
        code, left, top = _ORIGIN
        profile = {"count": 1, "height": side, "width": side, "dtype": "uint8", "crs": f"EPSG:{code}"}
        transform = rasterio.Affine(metres, 0, left, 0, -metres, top)
        with MemoryFile() as memory:
            with memory.open(driver="GTiff", transform=transform, **profile) as file:
                file.write(pixels, 1)
            self._head, self._tail = memory.read().split(pixels.tobytes())

    def fill(self, pixels: np.ndarray) -> bytes:
        return b"".join((self._head, pixels.tobytes(), self._tail))


def _fields(random: np.random.Generator, spread: float) -> np.ndarray:
    noise = random.standard_normal((2, _FIELDS, _FIELD_SIDE, _FIELD_SIDE), np.float32)
    smooth = gaussian_filter(noise[0], (0, 8, 8))
    scaled = smooth / smooth.std() + 0.3 * noise[1]
    return (128 + spread * scaled).clip(0, 255).astype(np.uint8)


def _window(fields: np.ndarray, side: int, random: np.random.Generator) -> np.ndarray:
    field, top, left = random.integers((len(fields), _FIELD_SIDE - side, _FIELD_SIDE - side))
    return fields[field, top : top + side, left : left + side]
