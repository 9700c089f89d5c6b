"""The pixels behind the last picture of a run, in `patches.npz`: small, without pickle, and read without torch."""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from cromss.io.atomic import write_file
from cromss.io.plain import Limits, NotPlainError, Record, parse, read_file, read_json
from cromss.runs.files import Text
from cromss.runs.names import PATCHES

FORMAT = 1
"""Version of the layout of `PATCHES`."""

_AXES = {"image": 4, "classes": 3, "weight": 3}

_LIMITS = Limits(size=32 * 2**20)
"""Largest size of the file, bytes."""

_PIXELS = 96 * 2**20
"""Bytes of all arrays together: thirty patches of 512 x 512 pixels in a dozen columns."""

_HEAD = 2**20
"""Most bytes of the description."""

_MOST_ENTRIES = 64
_END_OF_ARCHIVE = struct.Struct("<4s4H2IH")
_DIRECTORY = 2**16
"""Bytes of an archive's list of entries."""

_ARRAY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '(?P<kind>[<|][uU])(?P<size>\d{1,7})', 'fortran_order': False, "
    rb"'shape': \((?P<shape>(?:\d{1,7},? ?){0,4})\), \} *\n",
    re.DOTALL,
)


@dataclass(frozen=True)
class Column:
    """One column of a picture, of all patches.

    Attributes:
        title: Heading, e.g. ``"prediction s2"``.
        kind: ``"image"`` (B, H, W, 3) or ``"weight"`` (B, H, W), 0 to 255 for 0 to 1; ``"classes"`` (B, H, W), 255 for
            unlabelled pixels.
        values: uint8.
    """

    title: str
    kind: str
    values: np.ndarray


@dataclass(frozen=True)
class Patches:
    """The pixels of the last picture of a run.

    Attributes:
        epoch: When it was drawn, counted from 0.
        locations: Name of each patch's location in its source.
        columns: Each has as many patches as `locations`, all of one size.
    """

    epoch: int
    locations: Sequence[str]
    columns: Sequence[Column]


class _ColumnHead(Record):
    title: Text
    kind: Literal["image", "classes", "weight"]


class _Head(Record):
    format: int
    epoch: Annotated[int, Field(ge=0, le=10**9)]
    locations: Annotated[list[Text], Field(min_length=1, max_length=10_000)]
    columns: Annotated[list[_ColumnHead], Field(min_length=1, max_length=_MOST_ENTRIES - 1)]


def write_patches(folder: Path, patches: Patches) -> None:
    """Writes `PATCHES` into a folder as a whole; OSError where it cannot be written."""
    kinds = [{"title": column.title, "kind": column.kind} for column in patches.columns]
    head = {"format": FORMAT, "epoch": patches.epoch, "locations": list(patches.locations), "columns": kinds}
    arrays = {f"column_{number}": column.values for number, column in enumerate(patches.columns)}
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, head=np.array(json.dumps(head)), **arrays)
    write_file(folder / PATCHES, content.getbuffer())


def read_patches(folder: Path) -> Patches | None:
    """Reads `PATCHES` of a folder; None where there is none.

    The sizes that the archive states are checked before anything is decompressed, and limit what is.

    Raises:
        ValueError: It is damaged, too large, or of another version.
        OSError: It cannot be read.
    """
    path = folder / PATCHES
    try:
        return _patches(read_file(path, _LIMITS))
    except FileNotFoundError:
        return None
    except NotPlainError as error:
        raise ValueError(f"{path} is damaged ({error}): the next picture of the run replaces it") from error


def _patches(content: bytes) -> Patches:
    entries = _entries(content)
    text = _decompressed(content, entries, "head", _HEAD)
    head = parse(_Head, read_json(_text(text)))
    if head.format != FORMAT:
        raise NotPlainError(f"it is of format {head.format}, and this program reads {FORMAT}")
    names = [f"column_{number}" for number in range(len(head.columns))]
    if sum(entries[name].file_size for name in names if name in entries) > _PIXELS:
        raise NotPlainError(f"it holds more than {_PIXELS} bytes of pixels")
    columns = [
        _column(kind, _pixels(_decompressed(content, entries, name, _PIXELS)), len(head.locations))
        for name, kind in zip(names, head.columns, strict=True)
    ]
    if len({column.values.shape[1:3] for column in columns}) > 1:
        raise NotPlainError("its columns differ in size")
    return Patches(head.epoch, head.locations, columns)


def _entries(content: bytes) -> dict[str, zipfile.ZipInfo]:
    """Name without suffix -> entry of the archive; no entry is read."""
    end = content[-_END_OF_ARCHIVE.size :]
    if len(end) < _END_OF_ARCHIVE.size or not end.startswith(b"PK\5\6"):
        raise NotPlainError("it is no archive as this program writes it")
    _, _, _, _, count, directory, _, _ = _END_OF_ARCHIVE.unpack(end)
    if count > _MOST_ENTRIES or directory > _DIRECTORY:
        raise NotPlainError(f"it holds more than {_MOST_ENTRIES} arrays")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, OSError) as error:
        raise NotPlainError(f"its list of arrays is damaged: {error}") from error
    if len({entry.filename for entry in found}) < len(found):
        raise NotPlainError("it holds two arrays of one name")
    return {entry.filename.removesuffix(".npy"): entry for entry in found}


def _decompressed(content: bytes, entries: dict[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    entry = entries.get(name)
    if entry is None:
        raise NotPlainError(f"it holds no array {name}")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or entry.flag_bits & 1:
        raise NotPlainError(f"{name} is encrypted, or compressed in another way than this program does")
    if entry.file_size > most:
        raise NotPlainError(f"{name} has {entry.file_size} bytes, more than the {most} that are read")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(entry) as file:
            # zipfile makes sure that this is no more than the size in the header.
            return file.read(entry.file_size)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as error:
        raise NotPlainError(f"{name} is damaged: {error}") from error


def _array(data: bytes, kind: bytes) -> tuple[int, tuple[int, ...], bytes]:
    """Size of a value, shape and bytes of an array as NumPy writes it; its header is not evaluated."""
    found = _ARRAY.match(data)
    if found is None or found["kind"] != kind:
        raise NotPlainError("an array in it is of another type than expected, or damaged")
    shape = tuple(int(digits) for digits in re.findall(rb"\d+", found["shape"]))
    return int(found["size"]), shape, data[found.end() :]


def _text(data: bytes) -> bytes:
    """The UTF-8 bytes of a text that NumPy wrote as an array without axes."""
    length, shape, values = _array(data, b"<U")
    if shape or len(values) != 4 * length:
        raise NotPlainError("its description is damaged")
    try:
        return values.decode("utf-32-le").rstrip("\0").encode()
    except ValueError as error:
        raise NotPlainError(f"its description is no text: {error}") from error


def _pixels(data: bytes) -> np.ndarray:
    size, shape, values = _array(data, b"|u")
    if size != 1 or math.prod(shape) != len(values) or not values:
        raise NotPlainError("an array in it has more or fewer pixels than its shape says")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _column(head: _ColumnHead, values: np.ndarray, count: int) -> Column:
    is_rgb = head.kind != "image" or values.shape[-1] == 3
    if values.ndim != _AXES[head.kind] or len(values) != count or not is_rgb:
        raise NotPlainError(f"{head.title} is {head.kind} of shape {values.shape}")
    return Column(head.title, head.kind, values)
