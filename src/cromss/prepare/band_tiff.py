"""Reads an 8-bit band from the bytes of a TIFF, as fast as the disk, as archives hold millions of them.

GDAL takes about a millisecond to open a file, whatever its size. The published bands are plain: one sample of eight
bits, uncompressed, in strips. Those are read here; every other TIFF goes to GDAL.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from cromss.dataset.geotiff import opened_bytes

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _STRIPS, _SAMPLES, _LENGTHS, _FORMAT = 256, 257, 258, 259, 273, 277, 279, 339
_SCALE, _TIEPOINT, _MATRIX, _GEO_KEYS, _GEO_NUMBERS, _GEO_TEXT, _NODATA = (
    33550,
    33922,
    34264,
    34735,
    34736,
    34737,
    42113,
)
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 12: "d"}
_HEADER = 8
_ENTRY = 12
_MOST_PIXELS = 2**26
"""Most pixels of a compressed band, whose file may be a thousand times smaller; published ones have 264 x 264."""


class Band(NamedTuple):
    """One band and its coordinate system.

    Attributes:
        pixels: uint8 ``(H, W)``.
        system: The tags of its coordinate system, equal in files of one system; empty where there are none.
    """

    pixels: np.ndarray
    system: bytes


def read_band(data: bytes, where: str) -> Band:
    """Reads a TIFF of one uint8 band.

    Args:
        data: All bytes of the file.
        where: Name of the file, for errors.

    Raises:
        ValueError: It is truncated or no TIFF, does not have exactly one band of uint8, or has pixels without a value.
    """
    tags = _plain_tags(data)
    band = _read_plain(data, tags) if tags else None
    if band is None:
        return _read_by_gdal(data, where)
    nodata = tags[_NODATA].split(b"\0")[0].strip() if _NODATA in tags else b""
    _check_nodata(band, float(nodata) if nodata else None, where)
    return Band(band, _system(tags))


def _plain_tags(data: bytes) -> dict[int, bytes]:
    """Tag -> bytes of its values, in a little-endian TIFF; empty where it is none, or is truncated."""
    if data[:4] != b"II*\0" or len(data) < _HEADER:
        return {}
    start = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[start : start + 2], "little")
    entries = data[start + 2 : start + 2 + count * _ENTRY]
    if len(entries) != count * _ENTRY:
        return {}
    tags = {}
    for tag, kind, number, value in struct.iter_unpack("<HHI4s", entries):
        letter = _TYPES.get(kind)
        if letter is None:
            continue
        size = number * struct.calcsize(letter)
        if size > 4:
            offset = int.from_bytes(value, "little")
            value = data[offset : offset + size]
            if len(value) != size:
                return {}
        # 16-bit numbers become 32-bit ones, as a writer may choose either.
        tags[tag] = np.frombuffer(value[:size], "<u2").astype("<u4").tobytes() if letter == "H" else value[:size]
    return tags


def _read_plain(data: bytes, tags: dict[int, bytes]) -> np.ndarray | None:
    """The pixels of a plain file; None where it is not plain or not complete."""
    if (_number(tags, _BITS, 1), _number(tags, _COMPRESSION, 1), _number(tags, _SAMPLES, 1)) != (8, 1, 1):
        return None
    if _number(tags, _FORMAT, 1) != 1 or not {_WIDTH, _HEIGHT, _STRIPS, _LENGTHS} <= tags.keys():
        return None
    width, height = _number(tags, _WIDTH), _number(tags, _HEIGHT)
    starts = np.frombuffer(tags[_STRIPS], "<u4").tolist()
    lengths = np.frombuffer(tags[_LENGTHS], "<u4").tolist()
    pixels = b"".join([data[start : start + length] for start, length in zip(starts, lengths, strict=False)])
    if len(pixels) != width * height or not pixels:
        return None
    return np.frombuffer(pixels, np.uint8).reshape(height, width)


def _number(tags: dict[int, bytes], tag: int, default: int = 0) -> int:
    value = tags.get(tag)
    return default if value is None else int.from_bytes(value[:4], "little")


def _system(tags: dict[int, bytes]) -> bytes:
    return b"".join(tags.get(tag, b"") for tag in (_GEO_KEYS, _GEO_NUMBERS, _GEO_TEXT))


def _read_by_gdal(data: bytes, where: str) -> Band:
    if not data:
        raise ValueError(f"{where} is empty: fetch it again")
    with opened_bytes(data, where) as source:
        if source.count != 1 or source.dtypes[0] != "uint8":
            raise ValueError(f"{where} has {source.count} bands of {source.dtypes[0]}: one band of uint8 is published")
        if source.width * source.height > _MOST_PIXELS:
            raise ValueError(f"{where} is {source.width} x {source.height} px, more than the {_MOST_PIXELS} of a band")
        pixels = source.read(1)
        _check_nodata(pixels, source.nodata, where)
    # GDAL could open the file, so its tags can be read; those of the coordinate system are never compressed.
    return Band(pixels, _system(_plain_tags(data)))


def _check_nodata(pixels: np.ndarray, nodata: float | None, where: str) -> None:
    if nodata is not None and (missing := int((pixels == nodata).sum())):
        raise ValueError(
            f"{where}: {missing} of {pixels.size} pixels have the value {nodata:g}, which it declares as nodata: "
            "fill them, or leave the location out"
        )
