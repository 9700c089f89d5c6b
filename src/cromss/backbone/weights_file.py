"""A file of weights, opened without running anything of it."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pooch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cromss.backbone.fetch import fetch, is_url
from cromss.safe_load import UnreadableFileError, read_torch_file

EXPORTED = "cromss_encoder"
"""Key of the metadata of an exported encoder that marks it; its value is the version of the format."""


@dataclass(frozen=True)
class WeightsFile:
    """What a file of weights holds.

    Attributes:
        name: What messages call it: a path, or words where the weights are no file.
        path: The file.
        sha256: Its checksum.
        content: The dict that was saved; of a safetensors file its tensors.
        metadata: Of a safetensors file.
    """

    name: str
    path: Path | None
    sha256: str | None
    content: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def is_exported(self) -> bool:
        """Whether `cromss.backbone.export` wrote it."""
        return EXPORTED in self.metadata

    def state(self, container: str) -> dict[str, Tensor]:
        """The tensors under a key of the file, or at its top for ``""``; none where there is no such key."""
        inner = self.content.get(container) if container else self.content
        if not isinstance(inner, Mapping):
            return {}
        return {name: value for name, value in inner.items() if isinstance(name, str) and isinstance(value, Tensor)}

    def setting(self, key: str) -> Any:
        """A value of the resolved config that checkpoints of this project carry, by dotted key; None without one."""
        node: Any = self.content.get("config")
        for name in key.split("."):
            node = node.get(name) if isinstance(node, Mapping) else None
        return node

    @property
    def modality(self) -> str | None:
        """What the only branch of a checkpoint of this project, or an exported encoder, sees; None for others."""
        known = self.metadata.get("modality", self.setting("fusion.modality"))
        return known if isinstance(known, str) else None

    @property
    def normalisation(self) -> str | None:
        """How the images were scaled that a checkpoint of this project saw; None where nobody says."""
        known = self.metadata.get("normalisation", self.setting("dataset.normalisation"))
        return known if isinstance(known, str) else None

    @property
    def statistics(self) -> str | None:
        """By whose statistics, see `cromss.dataset.own_statistics.STATISTICS`; None where nobody says."""
        known = self.metadata.get("statistics", self.setting("dataset.statistics"))
        return known if isinstance(known, str) else None

    @property
    def band_names(self) -> tuple[str, ...] | None:
        """The bands of an exported encoder; None for other files."""
        names = json.loads(self.metadata["band_names"]) if self.is_exported else None
        return None if names is None else tuple(names)


def open_weights(path: str | Path, sha256: str | None, cache: str | Path | None) -> WeightsFile:
    """Opens a file of weights: of torch, in its zip or its older format, or of safetensors, told by its content.

    Args:
        path: A file, or a URL (http, https), which is fetched once.
        sha256: The checksum that the file must have, 64 hexadecimal digits; None takes any.
        cache: Folder of the files that were fetched; None is the user's cache folder.

    Returns:
        The content. Beside tensors and plain values `argparse.Namespace` is read, which published checkpoints hold.

    Raises:
        ValueError: No such file, another checksum, a damaged file, one that would run code, or no weights.
    """
    if is_url(path):
        local = fetch(str(path), sha256, cache or pooch.os_cache("cromss") / "weights")
    else:
        local = Path(path).expanduser()
    cure = f"delete {local}, a copy of {path}, to fetch it again" if is_url(path) else "take another copy of it"
    if not local.is_file():
        raise ValueError(f"{path} is no file: give the path of a file of weights, or its URL (backbone.weights_path)")
    try:
        with local.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            # A safetensors file opens with the length of its header, 8 bytes, and the header, which is JSON.
            is_safetensors = file.read(9)[8:] == b"{"
    except OSError as error:
        raise ValueError(f"{local} cannot be read ({error.strerror}): check its permissions") from error
    if sha256 is not None and digest != sha256.lower():
        raise ValueError(
            f"{local} has the sha256 {digest} and not backbone.weights_sha256={sha256}: it is another file or damaged; "
            f"correct the checksum, or {cure}"
        )
    try:
        content, metadata = _read_safetensors(local) if is_safetensors else (_read_torch(local), {})
    except UnreadableFileError as error:
        raise ValueError(f"{local} cannot be read as weights ({error}): {cure}") from error
    if not isinstance(content, Mapping):
        raise ValueError(f"{local} holds a {type(content).__name__}, not weights by name: save a state_dict instead")
    return WeightsFile(str(path), local, digest, content, metadata)


def _read_torch(path: Path) -> Any:
    return read_torch_file(path, classes=[argparse.Namespace])


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise UnreadableFileError(str(error)) from error
