"""Puts published weights into a network: all that was asked for, or nothing and the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cromss.backbone import decoder_blocks
from cromss.backbone.options import unknown
from cromss.fusion import FusionNetwork
from cromss.fusion.parts import SINGLE, Parts
from cromss.io.plain import shown
from cromss.types import BRANCHES
from cromss.weights.bands import FirstLayer, first_layer, network_bands, source_bands
from cromss.weights.diagnose import likely_cause
from cromss.weights.find import find
from cromss.weights.load_report import LoadReport
from cromss.weights.origins import IMAGENET, NONE, ORIGINS, Amount, amount_of
from cromss.weights.part import Part, first_convolution, plain, shapes, strip_prefix
from cromss.weights.weights_file import WeightsFile, imagenet_weights, open_weights


@dataclass(frozen=True)
class Source:
    """Whose weights to take and how much of them, for whatever file and branch.

    Attributes:
        origin: A key of `cromss.weights.origins.ORIGINS`, or ``"none"``.
        load: One of `cromss.weights.origins.LOADS`.
        modality: Whose encoder to take out of a file; None takes that of the branch that it goes to.
        adapt_bands: Whether the first convolution is fitted to other bands.

    Raises:
        ValueError: A value that does not exist, or a decoder of an origin that has none.
    """

    origin: str
    load: str
    modality: str | None
    adapt_bands: bool

    def __post_init__(self) -> None:
        if self.origin not in (NONE, *ORIGINS):
            raise ValueError(unknown("origin", self.origin, (NONE, *ORIGINS)))
        if self.modality not in (None, *BRANCHES):
            raise ValueError(unknown("source modality", self.modality, BRANCHES))
        if self.amount.blocks != 0 and self.origin != NONE and not ORIGINS[self.origin].has_decoder:
            raise ValueError(
                f"load={self.load}: weights of {self.origin} are encoders without a decoder: set backbone.load=encoder"
            )

    def check_path(self, path: object) -> None:
        """ValueError where a path is missing, or given beside random weights."""
        if self.origin == NONE and path is not None:
            raise ValueError(
                f"backbone.weights_path={shown(path)} with backbone.weights=none, which reads nothing: set "
                f"backbone.weights to whose they are, one of {', '.join(ORIGINS)}"
            )
        if self.origin not in (NONE, IMAGENET) and path is None:
            raise ValueError(f"backbone.weights={self.origin} needs a file: set backbone.weights_path=FILE, or a URL")

    @property
    def amount(self) -> Amount:
        """How much to load beside the encoder."""
        return amount_of(self.load)


def load_weights(
    net: nn.Module,
    path: str | Path | None,
    origin: str,
    load: str = "encoder",
    modality: str = "s2",
    *,
    source_modality: str | None = None,
    bands: int | str | None = None,
    adapt_bands: bool = False,
    sha256: str | None = None,
    cache: str | Path | None = None,
) -> LoadReport:
    """Fills one branch of a network from a file of weights. Where that fails the network is as it was.

    Args:
        net: A network of `cromss.fusion`, or a plain one of segmentation_models_pytorch. Changed in place.
        path: A file of torch or of safetensors, or its address, see `cromss.weights.fetch.fetch`; None for ``"none"``,
            and for ``"imagenet"``, which then fetches what segmentation_models_pytorch or timm publish for this encoder.
        origin: Whose file it is: a key of `cromss.weights.origins.ORIGINS`, or ``"none"``, which does nothing.
        load: ``"encoder"``; ``"encoder+N"``, which adds the first N blocks of the decoder, the deepest first;
            ``"encoder+decoder"``; or ``"all"``, which adds the head. Files of cromss alone have more than encoders.
        modality: The branch of `net` to fill, ``"s1"``, ``"s2"`` or ``"common"``; of a plain network: what it sees.
        source_modality: Whose encoder to take out of the file; None takes that of `modality`.
        bands: The S2 bands that the network sees, a key of `cromss.dataset.bands.SUBSETS`; None where their number
            tells enough: the order of 9 bands then goes unchecked.
        adapt_bands: Fits the first convolution to other bands, see `cromss.weights.bands.fit_bands`.
        sha256: Checksum that the file must have.
        cache: Folder for what is fetched from URLs; None is the user's cache folder.

    Returns:
        What was loaded.

    Raises:
        ValueError: The file cannot be read, is not of this origin, has no encoder of this modality, or does not fill
            every weight of the parts that were asked for; the message names keys, shapes, the likely cause and the cure.
    """
    source = Source(origin, load, source_modality, adapt_bands)
    if modality not in BRANCHES:
        raise ValueError(unknown("modality", modality, BRANCHES))
    branch_parts(net, modality)  # reading a large file comes after all that can be wrong without it
    if origin == NONE:
        return LoadReport(origin, None, None, load, modality)
    return fill(net, find_weights(net, path, source, sha256, cache), source, modality, bands)


def find_weights(
    net: nn.Module, path: str | Path | None, source: Source, sha256: str | None, cache: str | Path | None
) -> WeightsFile:
    """The file at a path, or those weights that libraries publish for the encoder; ValueError as `load_weights`."""
    source.check_path(path)
    if path is not None:
        return open_weights(path, sha256, cache)
    if not isinstance(net, FusionNetwork):
        raise ValueError(
            f"origin={IMAGENET} without a file needs a network of cromss.fusion, which knows its encoder: give a plain "
            "one its weights by encoder_weights='imagenet' of segmentation_models_pytorch"
        )
    return imagenet_weights(net.backbone)


def branch_parts(net: nn.Module, branch: str) -> Parts:
    """Where the parts of a branch lie in a network; ValueError where it has no such branch."""
    if not isinstance(net, FusionNetwork):
        return SINGLE
    if branch not in net.branches:
        raise ValueError(unknown("modality", branch, net.branches))
    return net.parts[branch]


def fill(net: nn.Module, file: WeightsFile, source: Source, branch: str, bands: int | str | None) -> LoadReport:
    """Fills a branch as `load_weights` does, which names the errors.

    Args:
        net: Changed in place.
        file: The opened file.
        source: What to take out of it.
        branch: Where to put it.
        bands: The S2 bands that the network sees; None where their number tells enough.
    """
    names, state, amount = branch_parts(net, branch), net.state_dict(), source.amount
    found = find(file, source.origin)
    modality, there = found.parts_for(branch, source.modality)

    def part(title: str, name: str, target: str) -> Part:
        if not (tensors := found.part(name)):
            raise ValueError(f"{found} holds no {title}: set backbone.load=encoder")
        return Part(title, f"{name}.", tensors, f"{target}.", strip_prefix(state, target))

    source_wrap, tensors = plain(found.part(there.encoder))
    target_wrap, target = plain(strip_prefix(state, names.encoder))
    prefix = f"{there.encoder}." if there.encoder else ""
    encoder = Part(f"encoder of {branch}", prefix + source_wrap, tensors, f"{names.encoder}.{target_wrap}", target)
    layer = _fit_first_layer(encoder, file, source, modality, branch, bands)
    encoder.check(found, lambda wrong: _why_not_encoder(encoder, wrong, layer, file))
    # Another order of as many bands shows in no shape.
    if layer is not None and layer.cause:
        raise ValueError(f"{found} does not fit the {encoder.title} of the network: {layer.cause}")
    parts = [encoder]
    if amount.blocks != 0:
        decoder = part("decoder", there.decoder, names.decoder)
        if amount.blocks is not None:
            decoder.limit_to(_first_blocks(net.get_submodule(names.decoder), amount.blocks))
        decoder.check(found, lambda _: _why_not_decoder(file))
        parts.append(decoder)
    if amount.head:
        head = part("segmentation head", there.segmentation_head, names.segmentation_head)
        head.check(found, lambda _: _why_not_head(head))
        parts.append(head)

    for one in parts:
        one.copy()
    return LoadReport(
        origin=source.origin,
        path=file.name,
        sha256=file.sha256,
        load=source.load,
        modality=branch,
        source_modality=modality,
        layout=found.layout.title,
        prefix=prefix,
        loaded=tuple(one.target_prefix + name for one in parts for name in one.loaded),
        missing=tuple(one.target_prefix + name for one in parts for name in one.missing),
        unexpected=tuple(one.source_prefix + name for one in parts for name in one.unexpected),
        bands=None if layer is None else layer.fit,
        normalisation=file.told.normalisation,
        statistics=file.told.statistics,
    )


def _fit_first_layer(
    encoder: Part, file: WeightsFile, source: Source, modality: str, branch: str, bands: int | str | None
) -> FirstLayer | None:
    """Puts fitted kernels into the part where that is asked for; None where the file has no such layer."""
    name = first_convolution(encoder.target)
    if name is None or name not in encoder.source or encoder.source[name].ndim != 4:
        return None
    kernels, channels = encoder.source[name], encoder.target[name].shape[1]
    trained_with = source_bands(file, source.origin, modality, kernels.shape[1])
    seen = network_bands(branch, bands, channels)
    layer = first_layer(kernels, trained_with, seen, channels, branch, source.adapt_bands)
    encoder.source[name] = layer.kernels
    return layer


def _first_blocks(decoder: nn.Module, count: int) -> list[str]:
    blocks = [name for name, _ in decoder_blocks(decoder)]
    if count > len(blocks):
        raise ValueError(
            f"load=encoder+{count}: this decoder has {len(blocks)} blocks ({', '.join(blocks)}): set at most "
            f"encoder+{len(blocks)}, or encoder+decoder"
        )
    return blocks[:count]


def _why_not_encoder(encoder: Part, wrong: Sequence[str], layer: FirstLayer | None, file: WeightsFile) -> str:
    if layer is not None and layer.cause and list(wrong) == [first_convolution(encoder.target)]:
        return layer.cause
    return likely_cause(shapes(encoder.source), shapes(encoder.target), file.told.encoder)


def _why_not_decoder(file: WeightsFile) -> str:
    trained_with = file.told.decoder
    named = f"backbone.decoder={trained_with}" if trained_with else "backbone.decoder=… (published: unet)"
    return (
        f"the weights' decoder is of another kind or has other channels: set {named} as they were trained with, or "
        "backbone.load=encoder for a new decoder"
    )


def _why_not_head(head: Part) -> str:
    # Its last tensor is the bias of the last layer, a number per class.
    found, wanted = (len(list(tensors.values())[-1]) for tensors in (head.source, head.target))
    return f"a head for {found} classes, the network has {wanted}: set backbone.load=encoder+decoder for a new head"
