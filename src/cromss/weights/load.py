"""Puts published weights into a network: all that was asked for, or nothing and the reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from cromss.backbone import decoder_blocks
from cromss.fusion import FusionNetwork
from cromss.fusion.parts import SINGLE, Parts
from cromss.types import BRANCHES
from cromss.weights.adapt import bands_of_count
from cromss.weights.diagnose import likely_cause
from cromss.weights.first_layer import FirstLayer, first_layer, network_bands, source_bands
from cromss.weights.origins import ANY, NONE, ORIGINS, Found, Place, find
from cromss.weights.part import Part, below, first_convolution, plain, shapes
from cromss.weights.report import LoadReport
from cromss.weights.weights_file import WeightsFile, imagenet_weights, open_weights


class Amount(NamedTuple):
    """How much to load beside the encoder.

    Attributes:
        blocks: Blocks of the decoder; None takes all.
        head: Whether the head, too.
    """

    blocks: int | None
    head: bool


def parse_load(load: str, origin: str) -> Amount:
    """Understands the setting `backbone.load`.

    Raises:
        ValueError: Another word, or a decoder of an origin that has none.
    """
    words = {"encoder": Amount(0, False), "encoder+decoder": Amount(None, False), "all": Amount(None, True)}
    counted = re.fullmatch(r"encoder\+([1-9]\d*)", load)
    if load not in words and not counted:
        raise ValueError(
            f"load={load!r} is unknown: choose one of encoder, encoder+N (with the first N blocks of the decoder, e.g. "
            "encoder+2), encoder+decoder, all (with the head)"
        )
    amount = Amount(int(counted[1]), False) if counted else words[load]
    if amount.blocks != 0 and origin != NONE and not ORIGINS[origin].has_decoder:
        raise ValueError(f"load={load}: weights of {origin} are encoders without a decoder: say backbone.load=encoder")
    return amount


@dataclass(frozen=True)
class Request:
    """What to take and where to put it: arguments of `load_weights`.

    Raises:
        ValueError: A value that does not exist.
    """

    origin: str
    load: str
    modality: str
    source_modality: str | None
    bands: int | str | None
    adapt_bands: bool

    def __post_init__(self) -> None:
        check_known("weights", self.origin, (NONE, *ORIGINS))
        check_known("modality", self.modality, BRANCHES)
        if self.source_modality is not None:
            check_known("source_modality", self.source_modality, BRANCHES)
        parse_load(self.load, self.origin)


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
        path: A file of torch or of safetensors, or its URL; None for ``"none"``, and for ``"imagenet"``, which then
            fetches the weights that segmentation_models_pytorch or timm publish for this encoder.
        origin: Whose file it is: a key of `cromss.weights.origins.ORIGINS`, or ``"none"``, which does nothing.
        load: ``"encoder"``; ``"encoder+N"``, which adds the first N blocks of the decoder, the deepest first;
            ``"encoder+decoder"``; or ``"all"``, which adds the head. Files of cromss alone have more than encoders.
        modality: The branch of `net` to fill, ``"s1"``, ``"s2"`` or ``"common"``; of a plain network: what it sees.
        source_modality: Whose encoder to take out of the file; None takes that of `modality`.
        bands: The S2 bands that the network sees, a key of `cromss.dataset.bands.SUBSETS`; None where their number
            tells enough: the order of 9 bands then goes unchecked.
        adapt_bands: Fits the first convolution to other bands, see `cromss.weights.adapt.fit_bands`.
        sha256: Checksum that the file must have.
        cache: Folder for what is fetched from URLs; None is the user's cache folder.

    Returns:
        What was loaded.

    Raises:
        ValueError: The file cannot be read, is not of this origin, lacks this modality, or does not fill every weight
            of the parts that were asked for; the message names keys and shapes, the likely cause and the cure.
    """
    request = Request(origin, load, modality, source_modality, bands, adapt_bands)
    branch_parts(net, modality)  # reading a large file comes after all that can be wrong without it
    if origin == NONE:
        return LoadReport(origin, None, None, load, modality)
    if path is None:
        return fill(net, pretrained(net, request), request)
    return fill(net, open_weights(path, sha256, cache), request)


def pretrained(net: nn.Module, request: Request) -> WeightsFile:
    """The weights of an origin that needs no file.

    Raises:
        ValueError: This origin needs one.
    """
    if request.origin != "imagenet":
        raise ValueError(f"backbone.weights={request.origin} needs a file: say backbone.weights_path=FILE, or a URL")
    if not isinstance(net, FusionNetwork):
        raise ValueError(
            "origin='imagenet' without a file needs a network of cromss.fusion, which knows its encoder: give a plain "
            "one its weights by encoder_weights='imagenet' of segmentation_models_pytorch"
        )
    return imagenet_weights(net.backbone)


def branch_parts(net: nn.Module, branch: str) -> Parts:
    """Where the parts of a branch lie in a network; ValueError where it has no such branch."""
    if not isinstance(net, FusionNetwork):
        return SINGLE
    check_known("modality", branch, net.branches)
    return net.parts[branch]


def check_known(setting: str, value: str, known: Sequence[str]) -> None:
    """ValueError where a value is not among the known ones."""
    if value not in known:
        raise ValueError(f"{setting}={value!r} is unknown: choose one of {', '.join(known)}")


def fill(net: nn.Module, file: WeightsFile, request: Request) -> LoadReport:
    """`load_weights` from an opened file; the same errors."""
    names, state = branch_parts(net, request.modality), net.state_dict()
    found = find(file, request.origin)
    source_modality, place = choose_encoder(file, found, request.modality, request.source_modality, request.origin)
    where = f"{file} ({request.origin}, {found.layout.title})"

    source_wrap, source = plain(found.part(place.encoder))
    target_wrap, target = plain(below(state, f"{names.encoder}."))
    prefixes = f"{place.encoder}{source_wrap}", f"{names.encoder}.{target_wrap}"
    encoder = Part(f"encoder of {request.modality}", prefixes[0], source, prefixes[1], target)
    layer = _fit_first_layer(encoder, file, source_modality, request)
    encoder.check(where, lambda wrong: _why_not_encoder(encoder, wrong, layer, file))
    # Another order of as many bands shows in no shape.
    if layer is not None and layer.cause:
        raise ValueError(f"{where} does not fit the {encoder.title} of the network: {layer.cause}")

    amount, parts = parse_load(request.load, request.origin), [encoder]
    if amount.blocks != 0:
        decoder = _part("decoder", where, found, place.decoder, state, names.decoder)
        if amount.blocks is not None:
            decoder.limit_to(_first_blocks(net.get_submodule(names.decoder), amount.blocks))
        decoder.check(where, lambda _: _why_not_decoder(file))
        parts.append(decoder)
    if amount.head:
        head = _part("segmentation head", where, found, place.segmentation_head, state, names.segmentation_head)
        head.check(where, lambda _: _why_not_head(head))
        parts.append(head)

    for part in parts:
        part.copy()
    return LoadReport(
        origin=request.origin,
        path=file.name,
        sha256=file.sha256,
        load=request.load,
        modality=request.modality,
        source_modality=source_modality,
        layout=found.layout.title,
        prefix=place.encoder,
        loaded=tuple(part.target_prefix + name for part in parts for name in part.loaded),
        missing=tuple(part.target_prefix + name for part in parts for name in part.missing),
        unexpected=tuple(part.source_prefix + name for part in parts for name in part.unexpected),
        bands=None if layer is None else layer.fit,
        normalisation=file.normalisation,
        statistics=file.statistics,
    )


def choose_encoder(
    file: WeightsFile, found: Found, branch: str, source_modality: str | None, origin: str
) -> tuple[str, Place]:
    """Which encoder of a file to take.

    Args:
        file: The opened file.
        found: What lies where in it.
        branch: The branch that it is for.
        source_modality: The modality that was asked for; None takes that of the branch.
        origin: Of the file.

    Returns:
        The modality of the encoder, and where it lies.

    Raises:
        ValueError: The file has no encoder of this modality.
    """
    asked = source_modality or branch
    places = dict(found.places)
    if ANY in places:
        place = places.pop(ANY)
        seen = file.modality or _modality_by_channels(found.part(place.encoder), asked, origin) or asked
        # Pictures of ImageNet may start any branch; for others the bands will tell.
        if origin != "cromss" and source_modality is None:
            return seen, place
        places[seen] = place
    if asked not in places:
        raise ValueError(
            f"{file} ({origin}, {found.layout.title}) holds encoders of {', '.join(places)} only, not of {asked}: give "
            f"files by branch, backbone.weights_path={{{next(iter(places))}: FILE, …}}, where one without starts from "
            f"random weights; or take what there is by backbone.weights_modality={next(iter(places))}, and "
            "backbone.adapt_bands=true where it goes to a branch that sees other bands"
        )
    return asked, places[asked]


def _modality_by_channels(encoder: Mapping[str, Tensor], asked: str, origin: str) -> str | None:
    first = first_convolution(encoder)
    orders = ORIGINS[origin].orders
    guess = None if first is None else bands_of_count(encoder[first].shape[1], orders, (asked, *BRANCHES))
    return guess[0] if guess else None


def _fit_first_layer(encoder: Part, file: WeightsFile, source_modality: str, request: Request) -> FirstLayer | None:
    """Puts fitted kernels into the part where that is asked for; None where the file has no such layer."""
    name = first_convolution(encoder.target)
    if name is None or name not in encoder.source or encoder.source[name].ndim != 4:
        return None
    kernels, channels = encoder.source[name], encoder.target[name].shape[1]
    layer = first_layer(
        kernels,
        source_bands(file, request.origin, source_modality, kernels.shape[1]),
        network_bands(request.modality, request.bands, channels),
        channels,
        request.modality,
        request.adapt_bands,
    )
    encoder.source[name] = layer.kernels
    return layer


def _part(title: str, where: str, found: Found, prefix: str | None, state: Mapping[str, Tensor], name: str) -> Part:
    if prefix is None or not (source := below(found.state, prefix)):
        raise ValueError(f"{where} holds no {title}: say backbone.load=encoder")
    return Part(title, prefix, source, f"{name}.", below(state, f"{name}."))


def _first_blocks(decoder: nn.Module, count: int) -> list[str]:
    blocks = [name for name, _ in decoder_blocks(decoder)]
    if count > len(blocks):
        raise ValueError(
            f"load=encoder+{count}: this decoder has {len(blocks)} blocks ({', '.join(blocks)}): say at most "
            f"encoder+{len(blocks)}, or encoder+decoder"
        )
    return blocks[:count]


def _why_not_encoder(encoder: Part, wrong: Sequence[str], layer: FirstLayer | None, file: WeightsFile) -> str:
    if layer is not None and layer.cause and list(wrong) == [first_convolution(encoder.target)]:
        return layer.cause
    return likely_cause(shapes(encoder.source), shapes(encoder.target), file.encoder)


def _why_not_decoder(file: WeightsFile) -> str:
    trained_with = file.decoder
    named = f"backbone.decoder={trained_with}" if trained_with else "backbone.decoder=… (published: unet)"
    return (
        f"the weights' decoder is of another kind or has other channels: say {named} as they were trained with, or "
        "backbone.load=encoder for a new decoder"
    )


def _why_not_head(head: Part) -> str:
    # Its last tensor is the bias of the last layer, a number a class.
    found, wanted = (len(list(tensors.values())[-1]) for tensors in (head.source, head.target))
    return f"a head for {found} classes, the network has {wanted}: say backbone.load=encoder+decoder for a new head"
