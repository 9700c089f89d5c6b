"""A file of weights, opened without running anything of it."""

from __future__ import annotations

import argparse
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pooch
import segmentation_models_pytorch as smp
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cromss.backbone import Backbone
from cromss.dataset.bands import BANDS, NORMALISATIONS
from cromss.dataset.own_statistics import STATISTICS
from cromss.io.checkpoint import checked_state
from cromss.io.plain import NotPlainError, check_plain, read_json, shown
from cromss.io.safe_load import GARBAGE, UnreadableFileError, read_torch_file
from cromss.types import BRANCHES
from cromss.weights.fetch import fetch, is_url
from cromss.weights.part import plain

UNKNOWN = "unknown"
"""What the metadata of an exported encoder say of what nobody knew."""

FORMAT = "1"
"""Version of the metadata."""

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
        """Whether `cromss.weights.export` wrote it."""
        return EXPORTED in self.metadata

    @property
    def is_run(self) -> bool:
        """Whether it looks like a checkpoint of this project, which tells what its network saw."""
        return {"state_dict", "config", "epoch"} <= self.content.keys() and isinstance(self.content["config"], dict)

    def state(self, container: str) -> dict[str, Tensor]:
        """The tensors under a key of the file, or at its top for ``""``; none where there is no such key.

        Raises:
            ValueError: One of them is sparse, complex, packed or of an absurd size.
        """
        inner = self.content.get(container) if container else self.content
        if not isinstance(inner, Mapping):
            return {}
        tensors = {name: value for name, value in inner.items() if isinstance(name, str) and isinstance(value, Tensor)}
        try:
            return checked_state(tensors)
        except NotPlainError as error:
            raise ValueError(f"{self} holds no weights that can be read ({error}): take another file") from error

    def setting(self, key: str) -> Any:
        """A value of the resolved config that checkpoints of this project carry, by dotted key; None without one."""
        node: Any = self.content["config"] if self.is_run else None
        for name in key.split("."):
            node = node.get(name) if isinstance(node, Mapping) else None
        return node

    def _told(self, name: str, key: str, allowed: Collection[str]) -> str | None:
        """What the file tells of its network: in the metadata of an exported encoder, else in a saved config.

        Raises:
            ValueError: It tells something that there is not.
        """
        value = self.metadata.get(name) if self.is_exported else self.setting(key)
        if value is None or (self.is_exported and value == UNKNOWN):
            return None
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(
                f"{self} says {name if self.is_exported else key}={shown(value)}, which is none of "
                f"{', '.join(allowed)}: it was written by another program or version, take another file"
            )
        return value

    @property
    def modality(self) -> str | None:
        """What the only branch of a checkpoint of this project, or an exported encoder, sees; None for others."""
        return self._told("modality", "fusion.modality", BRANCHES)

    @property
    def normalisation(self) -> str | None:
        """How the images were scaled that a checkpoint of this project saw; None where nobody says."""
        return self._told("normalisation", "dataset.normalisation", NORMALISATIONS)

    @property
    def statistics(self) -> str | None:
        """By whose statistics, see `cromss.dataset.own_statistics.STATISTICS`; None where nobody says."""
        return self._told("statistics", "dataset.statistics", STATISTICS)

    @property
    def encoder(self) -> str | None:
        """The name of the encoder that the weights were trained in; None where nobody says."""
        return self._name("encoder", "backbone.encoder")

    @property
    def decoder(self) -> str | None:
        """The name of the decoder, likewise."""
        return self._name("decoder", "backbone.decoder")

    def _name(self, name: str, key: str) -> str | None:
        value = self.metadata.get(name) if self.is_exported else self.setting(key)
        if value is None or value == UNKNOWN:
            return None
        if not isinstance(value, str) or not re.fullmatch(r"[\w.-]{1,100}", value, re.ASCII):
            raise ValueError(f"{self} says {name}={shown(repr(value))}, which is no name of one: take another file")
        return value

    @property
    def band_names(self) -> tuple[str, ...] | None:
        """The bands of an exported encoder; None for other files, and where it does not know them.

        Raises:
            ValueError: They are missing, or not a list of bands.
        """
        if not self.is_exported:
            return None
        known = [band.name for bands in BANDS.values() for band in bands]
        try:
            names = read_json(self.metadata.get("band_names", "").encode("utf-8", "surrogatepass"))
        except NotPlainError as error:
            raise ValueError(f"{self} has no list of bands in band_names ({error}): export it again") from error
        if names is None:
            return None
        if not isinstance(names, list) or not all(isinstance(name, str) and name in known for name in names):
            raise ValueError(
                f"{self} says band_names={shown(repr(names))}, which is no list of bands out of {', '.join(known)}: "
                "export it again"
            )
        return tuple(names)


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
    if metadata.get(EXPORTED, FORMAT) != FORMAT:
        raise ValueError(
            f"{local} was exported in version {shown(metadata[EXPORTED])} of the format, and version {FORMAT} is read: "
            "export it again"
        )
    return WeightsFile(str(path), local, digest, content, metadata)


def _read_torch(path: Path) -> Any:
    return read_torch_file(path, classes=[argparse.Namespace])


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            check_plain(metadata)
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except (SafetensorError, *GARBAGE) as error:
        raise UnreadableFileError(shown(str(error) or type(error).__name__)) from error


def imagenet_weights(backbone: Backbone) -> WeightsFile:
    """Fetches the published ImageNet weights of an encoder, or takes them from the cache of huggingface_hub.

    Args:
        backbone: Whose encoder.

    Returns:
        A plain state dict for 3 bands, R, G, B.

    Raises:
        ValueError: There are no such weights, or there is no network.
    """
    name = backbone.encoder
    # Those that segmentation_models_pytorch takes from timm have the weights that timm names.
    kind = True if name.startswith(("tu-", "timm-")) else "imagenet"
    if kind is not True and kind not in smp.encoders.encoders[name]["pretrained_settings"]:
        raise ValueError(
            f"backbone.weights=imagenet: there are none for backbone.encoder={name}: choose another encoder, e.g. "
            "backbone=resnet50, or give a file by backbone.weights_path=FILE"
        )
    try:
        encoder = smp.encoders.get_encoder(name, in_channels=3, depth=backbone.depth, weights=kind)
    # huggingface_hub's errors for a missing network are OSErrors, timm's for a model without weights a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise ValueError(
            f"ImageNet weights of {name} cannot be fetched ({str(error).splitlines()[0]}): try again with a network, "
            "or take the state dict of torchvision or timm from a file by backbone.weights_path=FILE"
        ) from error
    return WeightsFile(f"ImageNet weights of {name}", None, None, plain(encoder.state_dict())[1])
