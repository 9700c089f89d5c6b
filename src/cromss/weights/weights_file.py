"""Opens files of weights without running anything that they contain."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pooch
import segmentation_models_pytorch as smp
from pydantic import AfterValidator, Field
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cromss.backbone import Backbone
from cromss.dataset.bands import BANDS, SUBSETS
from cromss.io.checkpoint import checked_state
from cromss.io.plain import NotPlainError, Record, check_plain, parse, read_json, shown
from cromss.io.safe_load import GARBAGE, UnreadableFileError, read_torch_file
from cromss.io.user_paths import expanded
from cromss.weights.fetch import fetch, is_address
from cromss.weights.part import plain

UNKNOWN = "unknown"
"""Value of metadata of an exported encoder that are not known."""

FORMAT = "1"
"""Version of the metadata."""

EXPORTED = "cromss_encoder"
"""Key of the metadata of an exported encoder that marks it; its value is the version of the format."""


def _among(allowed: Collection[str]) -> AfterValidator:
    def check(value: int | str) -> int | str:
        if str(value) not in allowed:
            raise ValueError(f"it has to be one of {', '.join(allowed)}")
        return value

    return AfterValidator(check)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}$")]
BandName = Annotated[str, _among([band.name for bands in BANDS.values() for band in bands])]


class SourceNetwork(Record):
    """The network that weights come from, as their file describes it; None for what it does not mention.

    Attributes:
        encoder: The name of the encoder.
        decoder: The name of the decoder.
        modality: Input of an exported encoder, or of a run with one branch.
        normalisation: How the images were scaled.
        statistics: Whose statistics scaled them, see `cromss.dataset.own_statistics.STATISTICS`.
        bands: The S2 bands, a key of `cromss.dataset.bands.SUBSETS`.
        band_names: The bands of an exported encoder.
    """

    encoder: Name | None = None
    decoder: Name | None = None
    modality: Literal["s1", "s2", "common"] | None = None
    normalisation: Literal["quantise", "standardise", "reflectance"] | None = None
    statistics: Literal["published", "store"] | None = None
    bands: Annotated[int | str, _among(SUBSETS)] | None = None
    band_names: list[BandName] | None = None


KEYS = {
    "encoder": "backbone.encoder",
    "decoder": "backbone.decoder",
    "modality": "fusion.modality",
    "normalisation": "dataset.normalisation",
    "statistics": "dataset.statistics",
    "bands": "dataset.bands",
}
"""Attribute of `SourceNetwork` -> key of the resolved config in the checkpoint of a run."""


@dataclass(frozen=True)
class WeightsFile:
    """The content of a file of weights.

    Attributes:
        name: Name in messages: a path, or a description where the weights are no file.
        path: The file.
        sha256: Its checksum.
        content: The dict that was saved; of a safetensors file its tensors.
        metadata: Metadata of a safetensors file.
        network: The network that its weights come from.

    Raises:
        ValueError: It describes a network that cannot exist.
    """

    name: str
    path: Path | None
    sha256: str | None
    content: Mapping[str, Any]
    metadata: Mapping[str, str] = field(default_factory=dict)
    network: SourceNetwork = field(init=False)

    def __post_init__(self) -> None:
        try:
            network = parse(SourceNetwork, self._exported() if self.is_exported else self._saved())
        except NotPlainError as error:
            cure = "export it again" if self.is_exported else "take another file"
            raise ValueError(f"{self} was written by another program or version ({error}): {cure}") from error
        object.__setattr__(self, "network", network)

    def __str__(self) -> str:
        return self.name

    @property
    def is_exported(self) -> bool:
        """Whether `cromss export` wrote it."""
        return EXPORTED in self.metadata

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

    def _exported(self) -> dict[str, Any]:
        names = ("encoder", "modality", "normalisation", "statistics")
        described = {name: self.metadata[name] for name in names if self.metadata.get(name, UNKNOWN) != UNKNOWN}
        try:
            return described | {
                "band_names": read_json(self.metadata.get("band_names", "").encode(errors="surrogatepass"))
            }
        except NotPlainError as error:
            raise NotPlainError(f"band_names is no list of bands: {error}") from error

    def _saved(self) -> dict[str, Any]:
        """The description in a checkpoint of a run; empty for other files."""
        config = self.content.get("config")
        if not {"state_dict", "config", "epoch"} <= self.content.keys() or not isinstance(config, dict):
            return {}
        groups = {name: key.split(".") for name, key in KEYS.items()}
        return {
            name: config[group].get(key) for name, (group, key) in groups.items() if isinstance(config.get(group), dict)
        }


def open_weights(path: str | Path, sha256: str | None, cache: str | Path | None) -> WeightsFile:
    """Opens a file of weights: of torch, in its zip or its older format, or of safetensors, recognised by its content.

    Args:
        path: A file, or an address, see `cromss.weights.fetch.fetch`.
        sha256: The checksum that the file must have, 64 hexadecimal digits; None takes any.
        cache: Folder of the files that were fetched; None is the user's cache folder.

    Returns:
        The content: tensors, plain values and `argparse.Namespace`, which published checkpoints contain.

    Raises:
        ValueError: No such file, another checksum, a damaged file, one that would run code, or no weights.
    """
    if is_address(path):
        local = fetch(str(path), sha256, cache or pooch.os_cache("cromss") / "weights")
        cure = f"delete {local}, a copy of {path}, to fetch it again"
    else:
        local = expanded(path, "backbone.weights_path")
        cure = "take another copy of it"
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
    """The published ImageNet weights of an encoder for 3 bands, R, G, B, from the network or huggingface_hub's cache.

    Raises:
        ValueError: There are no such weights, or there is no network.
    """
    name = backbone.encoder
    # segmentation_models_pytorch leaves it to timm which weights its encoders have.
    kind = True if name.startswith(("tu-", "timm-")) else "imagenet"
    try:
        encoder = smp.encoders.get_encoder(name, in_channels=3, depth=backbone.depth, weights=kind)
    # Where there is no network, or no such weights: of timm a RuntimeError, of the other a KeyError.
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(
            f"ImageNet weights of {name} cannot be fetched ({str(error).splitlines()[0]}): try again with a network, "
            "choose another encoder, or give the state dict of torchvision or timm by backbone.weights_path=FILE"
        ) from error
    return WeightsFile(f"ImageNet weights of {name}", None, None, plain(encoder.state_dict())[1])
