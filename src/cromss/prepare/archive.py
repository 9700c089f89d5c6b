"""Reads tar archives of strangers in one pass: bounded memory, and whatever is odd about a member is named."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self, cast

from isal import igzip_lib, igzip_threaded
from tqdm import tqdm

from cromss.io.plain import shown

MOST_MEMBER_BYTES = 2**24
"""Of one file; the published ones have 70 kB."""

LONGEST_KEY = 511
"""Bytes of a key of an LMDB."""

# What is lost at most before the place where an archive breaks.
_BLOCK_BYTES = 2**18
_MOST_HEADER_BYTES = 2**17
_MOST_DIGITS = 12
# Their content is read before a member is seen: names that are too long for a header, and more about a member.
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_EXTENDED = 482
"""Where the header of a sparse member says that a list of unknown length follows."""

# Its stub does not say that it is an exception.
_IsalError: type[Exception] = igzip_lib.IsalError  # type: ignore[assignment]

BROKEN = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    _IsalError,
    OSError,
    # What tarfile raises of odd numbers in headers, and of headers of headers of headers.
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
    RecursionError,
)
"""What reading an archive ends in where it is cut, damaged or none."""


class _BoundedMember(tarfile.TarInfo):
    """Refuses headers that would be read into memory without end."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Reads the 512 bytes of a header."""
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not bytes(buf).strip(b"\0"):
                raise  # the end of the archive
            # Or a damaged header would be taken for the end as well.
            raise tarfile.ReadError(f"the header of a member is damaged: {error}") from error
        if member.size < 0:
            raise tarfile.ReadError(f"a member has {member.size} bytes")
        if member.type in _HEADERS and member.size > _MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"the header of a member has {member.size} bytes")
        if member.type == tarfile.GNUTYPE_SPARSE and buf[_EXTENDED]:
            raise tarfile.ReadError(f"the member {shown(member.name)} is sparse, in more than four pieces")
        return member

    def _proc_pax(self, archive: Any) -> tarfile.TarInfo:
        """Takes name and size of the next member from an extended header.

        That of `tarfile` looks for a record in time that grows with the square of the header, keeps all that headers
        for the whole archive hold, and reads the list of a sparse member's pieces, of whatever length, into memory.
        """
        this: Any = self
        records = _records(archive.fileobj.read(this._block(self.size))[: self.size])
        member: Any = this.fromtarfile(archive)
        if self.type == tarfile.XGLTYPE:
            return cast("tarfile.TarInfo", member)
        if any(key.startswith(b"GNU.sparse.") for key in records):
            member.sparse = []
        if (name := records.get(b"GNU.sparse.name", records.get(b"path"))) is not None:
            member.name = name.decode("utf-8", "surrogateescape").rstrip("/")
        if (digits := records.get(b"size")) is not None:
            member.size = _number(digits)
            archive.offset = member.offset_data + (member._block(member.size) if member.isreg() else 0)
        return cast("tarfile.TarInfo", member)


def _records(header: bytes) -> dict[bytes, bytes]:
    """Key -> value of an extended header, whose records are ``length key=value``; ReadError where it has others."""
    records = {}
    place = 0
    while place < len(header):
        start = header.find(b" ", place, place + _MOST_DIGITS) + 1
        end = place + _number(header[place : start - 1]) if start else 0
        key, equals, value = header[start:end].partition(b"=")
        if not start < end <= len(header) or not equals or not value.endswith(b"\n"):
            raise tarfile.ReadError("the extended header of a member is damaged")
        records[key] = value[:-1]
        place = end
    return records


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise tarfile.ReadError(f"an extended header has {shown(repr(digits))} where a number is expected")
    return int(digits)


def wanted(member: tarfile.TarInfo) -> str:
    """Why the content of a member is not to be read; empty where it may be."""
    if member.issym() or member.islnk():
        return "it is a link"
    if not member.isreg():
        return "it is not a regular file"
    if member.issparse():
        return f"it is sparse, of {member.size} bytes"
    if member.size > MOST_MEMBER_BYTES:
        return f"it has {member.size} bytes, more than the {MOST_MEMBER_BYTES} that a band can have"
    if member.name.startswith("/") or ".." in member.name.split("/"):
        return "its name leads out of the archive"
    return ""


def key_problem(key: str) -> str:
    """Why a name cannot be a key; empty where it can."""
    # Bytes that are no UTF-8 come as halves of surrogate pairs, which are not printable.
    if not key.isprintable():
        return "its name is not printable UTF-8 text"
    if len(key.encode()) > LONGEST_KEY:
        return f"its name has more than {LONGEST_KEY} bytes"
    return ""


@contextmanager
def opened(archive: Path) -> Iterator[tarfile.TarFile]:
    """Opens ``.tar`` or ``.tar.gz`` to be read once from its start, with a progress bar; errors are `BROKEN`."""
    with (
        archive.open("rb") as raw,
        tqdm.wrapattr(
            raw, "read", total=archive.stat().st_size, desc=f"reading {archive.name}", unit="B", unit_scale=True
        ) as counted,
        ExitStack() as stack,
    ):
        stream: IO[bytes] = counted
        if raw.peek(2)[:2] == b"\x1f\x8b":
            stream = stack.enter_context(igzip_threaded.open(counted, "rb", threads=1, block_size=_BLOCK_BYTES))
        yield stack.enter_context(tarfile.open(fileobj=stream, mode="r|", bufsize=_BLOCK_BYTES, tarinfo=_BoundedMember))
