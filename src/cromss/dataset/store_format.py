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
from typing import NamedTuple

import xxhash
import zstandard

from cromss.dataset.reader import DatasetInfo, ModalityInfo

FORMAT = "cromss-store"
VERSION = 1
META_KEY = b"meta"
FIELDS = ("s1", "s2", "labels", "truth")
LONGEST_ID = 256
_DIGEST = 8


class Codec(NamedTuple):
    """How a payload is stored, and the most bytes that so many bytes of data can take."""

    encode: Callable[[bytes], bytes]
    decode: Callable[[memoryview], memoryview | bytes]
    longest: Callable[[int], int]


CODECS: Mapping[str, Codec] = {
    "none": Codec(encode=lambda data: data, decode=lambda payload: payload, longest=lambda size: size),
    "zstd": Codec(
        # Label maps of this level take half the bytes of level 3 and half the time to read, as matches are longer; they
        # take 3 ms to write. Three levels more take 9 ms, for 3 % of the bytes.
        encode=lambda data: zstandard.compress(data, 12),
        decode=zstandard.decompress,
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


def decode_meta(value: memoryview) -> Meta:
    """Reads the value of ``meta``.

    Raises:
        ValueError: It is damaged, or of a newer version; the message gives the reason and the cure.
    """
    try:
        content = json.loads(bytes(value[_DIGEST:]))
    except ValueError as error:
        raise ValueError(f"its description (key meta) is damaged ({error}); create the store again") from error
    # The version comes before the checksum: whatever later versions change, this much stays.
    version = content.get("version") if isinstance(content, dict) and content.get("format") == FORMAT else None
    if isinstance(version, int) and version > VERSION:
        raise ValueError(
            f"it was written by a newer cromss (store version {version}, this one reads up to {VERSION}); update cromss"
        )
    try:
        open_value(META_KEY, value, len(value))
    except ValueError as error:
        raise ValueError(f"its description (key meta) is damaged: {error}; create the store again") from error
    if version is None:
        raise ValueError("its description (key meta) is not that of a store; create the store again")
    try:
        info = DatasetInfo(
            modalities={
                name: ModalityInfo(tuple(stored["bands"]), stored["dtype"], stored["quantised"])
                for name, stored in content["modalities"].items()
            },
            classes=tuple(content["classes"]),
            seasons=content["seasons"],
            size=(content["size"][0], content["size"][1]),
            has_truth=content["has_truth"],
            statistics=content["statistics"],
        )
        return Meta(info, content["count"], content["compression"])
    except KeyError as error:
        raise ValueError(f"its description (key meta) lacks {error}; create the store again") from error


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
