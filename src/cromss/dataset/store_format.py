"""What the bytes of a store mean, for reader and writer: keys, values, codecs and the description in ``meta``.

A store is one LMDB (or several, as shards) without pickle. Keys are readable and sorted by location, so what is read
together lies together::

    00000012/id        name of the location in its source, UTF-8
    00000012/labels    noisy labels of all seasons, uint8 (T, H, W)
    00000012/s1/3      images of one season, (K, H, W) in the stored dtype
    00000012/s2/3
    00000012/truth     exact labels, where there are any
    meta               JSON: format version and everything that is true of all locations

A value is the 8 bytes of a checksum (XXH3, 64 bit), then the payload: the array in C order, perhaps compressed. The
checksum is seeded with the key, so a value under the wrong key is found out as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, NamedTuple

import xxhash
import zstandard
from pydantic import Field

from cromss.dataset.checks import check_info
from cromss.dataset.reader import DatasetInfo, ModalityInfo
from cromss.dataset.statistics import check_statistics
from cromss.io.plain import NotPlainError, Record, parse, read_json

FORMAT = "cromss-store"
VERSION = 1
META_KEY = b"meta"
FIELDS = ("s1", "s2", "labels", "truth")
MOST_LOCATIONS = 10**8
"""Keys have eight digits."""
_DIGEST = 8


class Codec(NamedTuple):
    """How a payload is stored, read as data of a known number of bytes, and how long it can be at most."""

    encode: Callable[[bytes], bytes]
    decode: Callable[[memoryview, int], memoryview | bytes]
    longest: Callable[[int], int]


def _as_it_is(payload: memoryview, size: int) -> memoryview:
    if len(payload) != size:
        raise ValueError(f"it holds {len(payload)} bytes instead of {size}")
    return payload


def _decompressed(payload: memoryview, size: int) -> bytes:
    """ValueError before any memory is taken where the payload is to become more, or less, than `size` bytes."""
    try:
        named = zstandard.frame_content_size(payload)
        if named != size:
            raise ValueError(f"it holds {named} bytes instead of {size}")
        data = zstandard.decompress(payload, max_output_size=size)
    except zstandard.ZstdError as error:
        raise ValueError(f"it cannot be decompressed: {error}") from error
    if len(data) != size:
        raise ValueError(f"it holds {len(data)} bytes instead of {size}")
    return data


CODECS: Mapping[str, Codec] = {
    "none": Codec(encode=lambda data: data, decode=_as_it_is, longest=lambda size: size),
    "zstd": Codec(
        # Label maps of this level take half the bytes of level 3 and half the time to read, as matches are longer; they
        # take 3 ms to write. Three levels more take 9 ms, for 3 % of the bytes.
        encode=lambda data: zstandard.compress(data, 12),
        decode=_decompressed,
        longest=lambda size: size + size // 256 + 64,  # ZSTD_COMPRESSBOUND
    ),
}


@dataclass(frozen=True)
class Meta:
    """The description of one store.

    Attributes:
        info: What is true of all locations.
        count: Number of locations.
        compression: Field (modality, ``labels``, ``truth``) -> name of its codec.
    """

    info: DatasetInfo
    count: int
    compression: Mapping[str, str]

    @property
    def entries(self) -> int:
        """Number of keys that a complete store of this description holds, ``meta`` included."""
        per_location = 2 + len(self.info.modalities) * self.info.seasons + self.info.has_truth
        return self.count * per_location + 1

    def encode(self) -> bytes:
        """The description as JSON."""
        content = {"format": FORMAT, "version": VERSION, "count": self.count, "compression": dict(self.compression)}
        return json.dumps({**content, **asdict(self.info)}, indent=1).encode()


Name = Annotated[str, Field(min_length=1, max_length=256)]


class _Modality(Record):
    bands: Annotated[list[Name], Field(min_length=1, max_length=255)]
    dtype: Literal["uint8", "uint16", "float32", "float64"]
    quantised: bool


class _Description(Record):
    """What ``meta`` holds, in version 1."""

    version: Annotated[int, Field(ge=1, le=VERSION)]
    count: Annotated[int, Field(ge=1, le=MOST_LOCATIONS)]
    compression: dict[Literal["s1", "s2", "labels", "truth"], Literal["none", "zstd"]]
    modalities: Annotated[dict[Literal["s1", "s2"], _Modality], Field(min_length=1)]
    classes: Annotated[list[Name], Field(min_length=1, max_length=255)]
    seasons: Annotated[int, Field(ge=1, le=10_000)]
    size: Annotated[list[Annotated[int, Field(ge=1, le=2**16)]], Field(min_length=2, max_length=2)]
    has_truth: bool
    statistics: dict[str, Any]


def decode_meta(value: memoryview) -> Meta:
    """Reads the value of ``meta``.

    Raises:
        ValueError: It is damaged, contradicts itself, or is of a newer version; the message gives the reason and the
            cure.
    """
    try:
        content = read_json(value[_DIGEST:])
    except NotPlainError as error:
        raise ValueError(f"its description (key meta) is damaged ({error}); create the store again") from error
    # The version comes before the checksum: whatever later versions change, this much stays.
    ours = isinstance(content, dict) and content.get("format") == FORMAT
    version = content.get("version") if ours else None
    if type(version) is int and version > VERSION:
        raise ValueError(
            f"it was written by a newer cromss (store version {version}, this one reads up to {VERSION}); update cromss"
        )
    try:
        open_value(META_KEY, value, len(value))
    except ValueError as error:
        raise ValueError(f"its description (key meta) is damaged: {error}; create the store again") from error
    if not ours:
        raise ValueError("its description (key meta) is not that of a store; create the store again")
    try:
        return _as_meta(parse(_Description, content))
    except ValueError as error:
        raise ValueError(f"its description (key meta) is wrong: {error}; create the store again") from error


def _as_meta(described: _Description) -> Meta:
    """ValueError where a reader could not rely on the description."""
    info = DatasetInfo(
        modalities={
            name: ModalityInfo(tuple(stored.bands), stored.dtype, stored.quantised)
            for name, stored in described.modalities.items()
        },
        classes=tuple(described.classes),
        seasons=described.seasons,
        size=(described.size[0], described.size[1]),
        has_truth=described.has_truth,
        statistics=described.statistics,
    )
    check_info(info)
    needed = {*info.modalities, "labels", *(["truth"] if info.has_truth else [])}
    if missing := needed - set(described.compression):
        raise ValueError(f"compression does not name {', '.join(sorted(missing))}")
    check_statistics(info, described.count)
    return Meta(info, described.count, {str(field): codec for field, codec in described.compression.items()})


def field_key(index: int, field: str) -> bytes:
    """Key of a value that a location has once: ``id``, ``labels``, ``truth``."""
    return f"{index:08d}/{field}".encode()


def image_key(index: int, modality: str, season: int) -> bytes:
    """Key of one season of one modality."""
    return f"{index:08d}/{modality}/{season}".encode()


def seal(key: bytes, payload: bytes) -> bytes:
    """The value to store: checksum, then payload."""
    return _digest(key, payload) + payload


def open_value(key: bytes, value: memoryview, longest: int) -> memoryview:
    """The payload behind a value, without a copy.

    Args:
        key: Where the value was found.
        value: Checksum and payload.
        longest: Most bytes that the payload can have. A damaged length is refused before it leads out of the file.

    Raises:
        ValueError: Length or checksum are wrong.
    """
    if not _DIGEST <= len(value) <= _DIGEST + longest:
        raise ValueError(f"it has {len(value)} bytes, where {_DIGEST} to {_DIGEST + longest} are possible")
    payload = value[_DIGEST:]
    if value[:_DIGEST] != _digest(key, payload):
        raise ValueError("its bytes do not match their checksum")
    return payload


def _digest(key: bytes, payload: bytes | memoryview) -> bytes:
    return xxhash.xxh3_64_digest(payload, seed=xxhash.xxh3_64_intdigest(key))
