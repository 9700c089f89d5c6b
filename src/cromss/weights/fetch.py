"""Weights from the network, fetched once and checked."""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pooch
from requests import HTTPError, RequestException

from cromss.io.own_files import open_own
from cromss.io.redact import redact
from cromss.io.user_paths import expanded

log = logging.getLogger(__name__)

# It says what is said here, in other words.
pooch.get_logger().setLevel(logging.WARNING)

_SECONDS = 30
"""How long a server may be silent."""


def is_url(path: str | Path) -> bool:
    """Whether a path is to be fetched."""
    return str(path).startswith(("http://", "https://"))


def fetch(url: str, sha256: str | None, cache: str | Path) -> Path:
    """Fetches a file into the cache, unless it lies there.

    A file appears in the cache when it is complete and its checksum is right. Of several processes that ask at once one
    fetches and the others wait for it.

    Args:
        url: ``http://…`` or ``https://…``.
        sha256: Checksum, 64 hexadecimal digits; None takes any and logs, as a warning, which one it is. A file in the
            cache that has another one is fetched again.
        cache: Folder of the cache, made where it is missing.

    Returns:
        The file in the cache: a folder a URL, so that files of one name do not collide.

    Raises:
        ValueError: No network, no such file, a connection that breaks, another checksum, or a cache that cannot be
            written; the message gives the cure. The cache is then without this file.
    """
    sha256 = None if sha256 is None else sha256.lower()
    folder = expanded(cache, "backbone.weights_cache") / hashlib.sha256(url.encode()).hexdigest()[:16]
    target = folder / (urlsplit(url).path.rstrip("/").rsplit("/", 1)[-1][-200:] or "weights")
    shown = redact(url)
    by_hand = "or download it by hand and say backbone.weights_path=FILE"
    try:
        # Without the lock, which a cache that may only be read has no place for.
        if target.is_file() and sha256 in (None, pooch.file_hash(target)):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            _retrieve(url, sha256, target)
            return target
    except HTTPError as error:
        raise ValueError(
            f"{shown} cannot be fetched, the server says {redact(str(error))}: correct the URL, {by_hand}"
        ) from error
    # Before OSError, of which it is one.
    except RequestException as error:
        raise ValueError(
            f"{shown} cannot be fetched ({redact(str(error))}): try again with a network, {by_hand}"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{shown} cannot be kept in {folder} ({error.strerror or error}): free space there, or say "
            "backbone.weights_cache=FOLDER"
        ) from error


def _retrieve(url: str, sha256: str | None, target: Path) -> None:
    is_new = not target.exists()
    if is_new:
        log.info("Fetching %s to %s", redact(url), target)
        # What killed processes left behind: nobody else is here.
        for partial in target.parent.glob("tmp*"):
            partial.unlink()
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=2**20, timeout=_SECONDS)
    try:
        pooch.retrieve(url, sha256, fname=target.name, path=target.parent, downloader=downloader)
    except RequestException:
        # Some are ValueErrors, too.
        raise
    # pooch has no error of its own for a checksum.
    except ValueError as error:
        target.unlink(missing_ok=True)
        raise ValueError(
            f"{redact(url)} is another file than backbone.weights_sha256={sha256} says, or came damaged; it was not "
            "kept: try again, or correct the checksum if you trust what the server has"
        ) from error
    if is_new and sha256 is None:
        log.warning(
            "%s was not checked against anything: pin it by backbone.weights_sha256=%s",
            redact(url),
            pooch.file_hash(target),
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with open_own(folder / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
