"""Archives from web servers: large files, whose download resumes."""

from __future__ import annotations

import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pooch
import requests
from tqdm import tqdm

from cromss.io.atomic import write_file
from cromss.io.plain import Limits, read_file
from cromss.prepare.download.retry import Network, PassingError, redact

log = logging.getLogger(__name__)
_CHUNK = 2**16


@dataclass(frozen=True)
class Archive:
    """A file to fetch: its URL, and its checksum where it is known, 64 hexadecimal digits."""

    url: str
    sha256: str | None = None

    def __post_init__(self) -> None:
        """ValueError where the address names no file."""
        if self.name in ("", ".", ".."):
            raise ValueError(f"download.ssl4eo_s12.archives: {redact(self.url)} must be http(s)://…/FILE")

    @property
    def name(self) -> str:
        """Name of the file."""
        return unquote(urlsplit(self.url).path).rsplit("/", 1)[-1]


def fetch_archive(network: Network, archive: Archive, target: Path) -> str:
    """Fetches a file, and resumes where an earlier try ended.

    An incomplete file is called ``<target>.partial``, one with a wrong checksum ``<target>.wrong``.

    Args:
        network: Rate and retries of requests.
        archive: What to fetch.
        target: Path of the complete and checked file.

    Returns:
        Its checksum.

    Raises:
        ValueError: The server refuses, or the checksum differs.
        OSError: The server cannot be reached, or the disk is full.
    """
    partial = target.with_name(f"{target.name}.partial")
    network.ask(archive.url, lambda: _continue(archive.url, partial, network.timeout_seconds), lambda: _size(partial))
    found = pooch.file_hash(partial)
    _marker(partial).unlink(missing_ok=True)
    wrong = target.with_name(f"{target.name}.wrong")
    if archive.sha256 is not None and found != archive.sha256.lower():
        partial.replace(wrong)
        raise ValueError(
            f"{redact(archive.url)} has the checksum {found}, not {archive.sha256}: it came damaged or was replaced, "
            f"and is kept as {wrong}. Run the same command again to fetch it again, or correct sha256"
        )
    if archive.sha256 is None:
        log.warning("%s was not checked against anything: its sha256 is %s", target, found)
    partial.replace(target)
    wrong.unlink(missing_ok=True)
    return f"sha256 {found}"


def _continue(url: str, partial: Path, timeout: float) -> None:
    start = _size(partial)
    # Ranges count the bytes of a file as it is, not those of a compressed answer.
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if _marker(partial).exists():
            # The whole file instead of a rest, should it be another file by now.
            headers["If-Range"] = _tag(partial)
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        total = _total(response)
        if response.status_code == requests.codes.requested_range_not_satisfiable and start:
            if start == total:
                return
            partial.unlink()
            raise PassingError(f"the server has {total} bytes, {start} were here: starting again")
        response.raise_for_status()
        continues = response.status_code == requests.codes.partial_content
        if continues and not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            partial.unlink()
            raise PassingError(f"the server sent another part of the file than from {start} on: starting again")
        if not continues:
            start = 0
        _check_room(partial, start, total)
        _remember(response, partial)
        _write(response, partial, start, total)
    if total is not None and _size(partial) != total:
        raise PassingError(f"the connection was cut after {_size(partial)} of {total} bytes")


def _write(response: requests.Response, partial: Path, start: int, total: int | None) -> None:
    with (
        open(partial, "ab" if start else "wb", opener=_no_link) as file,
        tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=partial.stem, disable=None) as bar,
    ):
        for chunk in response.iter_content(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
        file.flush()
        os.fsync(file.fileno())


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _total(response: requests.Response) -> int | None:
    """Size of the whole file in bytes, if the server sends it."""
    if match := re.fullmatch(r"bytes .*/(\d+)", response.headers.get("Content-Range", "")):
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    return int(length) if response.status_code == requests.codes.ok and length.isdecimal() else None


def _check_room(partial: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(partial.parent).free + (0 if start else _size(partial))
    if total is not None and total - start > free:
        raise OSError(
            f"{partial.parent} has {free / 1e9:.1f} GB free, {(total - start) / 1e9:.1f} GB are needed for "
            f"{partial.stem}: free space there, or choose another out=…"
        )


def _remember(response: requests.Response, partial: Path) -> None:
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        write_file(_marker(partial), tag.encode())
    else:
        _marker(partial).unlink(missing_ok=True)


def _tag(partial: Path) -> str:
    """The ETag of the partly downloaded file; OSError where it cannot be read."""
    try:
        tag = read_file(_marker(partial), Limits(size=4096)).decode("ascii")
    except ValueError as error:
        raise OSError(f"{_marker(partial)} is damaged ({error}): remove it and {partial}") from error
    if not tag.isprintable():
        raise OSError(f"{_marker(partial)} is damaged: remove it and {partial}")
    return tag


def _marker(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
