"""Downloads files of weights, once, and checks them."""

from __future__ import annotations

import fcntl
import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pooch
from requests import RequestException

from cromss.io.own_files import open_own
from cromss.io.redact import redact
from cromss.io.user_paths import expanded

log = logging.getLogger(__name__)

# The messages of this module say the same.
pooch.get_logger().setLevel(logging.WARNING)

_SECONDS = 30
"""Longest time that a server may take to answer."""

_HUB = ("hf://", "https://huggingface.co/", "https://hf.co/")
"""How addresses of Hugging Face begin."""

_BY_HAND = "or download it by hand and set backbone.weights_path=FILE"


def is_address(path: str | Path) -> bool:
    """Whether a path is the address of a file to download."""
    return str(path).startswith(("http://", "https://", "hf://"))


def fetch(address: str, sha256: str | None, cache: str | Path) -> Path:
    """Downloads a file, unless it is in the cache.

    A file appears in the cache when it is complete and its checksum is right. If several processes ask at once,
    one of them downloads it and the others wait.

    Args:
        address: ``http://…`` or ``https://…``; or a file of Hugging Face, ``hf://ORG/REPO/FILE``,
            ``hf://ORG/REPO@REVISION/FILE`` or its ``https://huggingface.co/…`` address. Files of Hugging Face are
            downloaded by huggingface_hub, with its own cache and settings: ``HF_HOME``, ``HF_TOKEN``,
            ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``.
        sha256: Checksum, 64 hexadecimal digits; None accepts any and logs the one that was found, as a warning.
            A file in the cache with another checksum is downloaded again. The caller checks files of Hugging Face.
        cache: Folder of the cache for other addresses, created if it is missing.

    Returns:
        The file in the cache: a folder per address, so that files of one name do not collide.

    Raises:
        ValueError: No network, no such file, a connection that breaks, another checksum, or a cache that cannot be
            written; the message gives the cure. The cache is then without this file.
    """
    if address.startswith(_HUB):
        return _from_hub(address)
    sha256 = None if sha256 is None else sha256.lower()
    folder = expanded(cache, "backbone.weights_cache") / hashlib.sha256(address.encode()).hexdigest()[:16]
    target = folder / (urlsplit(address).path.rstrip("/").rsplit("/", 1)[-1][-200:] or "weights")
    shown = redact(address)
    try:
        # Without the lock, which cannot be created in a read-only cache.
        if target.is_file() and sha256 in (None, pooch.file_hash(target)):
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            _retrieve(address, sha256, target)
            return target
    # Before OSError, of which it is one.
    except RequestException as error:
        raise ValueError(
            f"{shown} cannot be fetched ({redact(str(error))}): correct the URL, try again with a network, {_BY_HAND}"
        ) from error
    except OSError as error:
        raise ValueError(
            f"{shown} cannot be kept in {folder} ({error.strerror or error}): free space there, or set "
            "backbone.weights_cache=FOLDER"
        ) from error


def _from_hub(address: str) -> Path:
    shown = redact(address)
    try:
        # segmentation_models_pytorch also accepts versions that do not have this function.
        from huggingface_hub import hf_hub_download, parse_hf_uri
    except ImportError as error:
        raise ValueError(
            f"{shown} needs a later huggingface_hub: run pip install 'cromss[download]', {_BY_HAND}"
        ) from error
    try:
        uri = parse_hf_uri(address)
        if uri.is_bucket or not uri.path_in_repo:
            raise ValueError("it names no file of a repository")
        return Path(hf_hub_download(uri.id, uri.path_in_repo, repo_type=uri.type, revision=uri.revision))
    # HTTP errors and a missing network are OSErrors of huggingface_hub.
    except (OSError, ValueError) as error:
        reason = redact(str(error.__cause__ or error).strip().partition("\n")[0])
        raise ValueError(
            f"{shown} cannot be fetched ({reason}): correct the address (hf://ORG/REPO/FILE), set HF_TOKEN where it is "
            f"private, try again with a network and without HF_HUB_OFFLINE, {_BY_HAND}"
        ) from error


def _retrieve(url: str, sha256: str | None, target: Path) -> None:
    is_new = not target.exists()
    if is_new:
        log.info("Fetching %s to %s", redact(url), target)
        # Left behind by killed processes: this one holds the lock.
        for partial in target.parent.glob("tmp*"):
            partial.unlink()
    downloader = pooch.HTTPDownloader(progressbar=True, chunk_size=2**20, timeout=_SECONDS)
    try:
        pooch.retrieve(url, sha256, fname=target.name, path=target.parent, downloader=downloader)
    except RequestException:
        # Some of them are ValueErrors, too.
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
def _locked(folder: Path) -> Iterator[None]:
    with open_own(folder / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
