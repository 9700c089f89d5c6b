"""Reads untrusted tar archives in one pass, in bounded memory, and reports invalid members."""

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
"""Most bytes of one file; the published ones have 70 kB."""

LONGEST_KEY = 511
"""Most bytes of a key of an LMDB."""

# At most this much is lost before the position where an archive breaks.
_BLOCK_BYTES = 2**18
_MOST_HEADER_BYTES = 2**17
_MOST_DIGITS = 12
# Members with metadata of the next member, such as long names; tarfile reads their content by itself.
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
    # tarfile raises these for invalid numbers in headers and for deeply nested headers.
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
    RecursionError,
)
"""Errors of reading a file that is truncated, damaged or no archive."""


class _BoundedMember(tarfile.TarInfo):
    """Refuses headers that would take unlimited memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Reads the 512 bytes of a header."""
        try:
            member = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if not bytes(buf).strip(b"\0"):
                raise  # the end of the archive
            # tarfile would also take a damaged header for the end.
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

        That of `tarfile` searches records in time that grows with the square of the header, keeps all that headers
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
    position = 0
    while position < len(header):
        start = header.find(b" ", position, position + _MOST_DIGITS) + 1
        end = position + _number(header[position : start - 1]) if start else 0
        key, equals, value = header[start:end].partition(b"=")
        if not start < end <= len(header) or not equals or not value.endswith(b"\n"):
            raise tarfile.ReadError("the extended header of a member is damaged")
        records[key] = value[:-1]
        position = end
    return records


def _number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MOST_DIGITS:
        raise tarfile.ReadError(f"an extended header has {shown(repr(digits))} where a number is expected")
    return int(digits)


def wanted(member: tarfile.TarInfo) -> str:
    """The reason why a member must not be read; empty where it may be."""
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
    """The reason why a name cannot be a key; empty where it can."""
    # Python decodes bytes that are not UTF-8 as lone surrogates, which are not printable.
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
