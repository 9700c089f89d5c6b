"""Loads published weights into networks: all requested parts, or nothing and an error with the reason."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from cromss.backbone import decoder_blocks
from cromss.backbone.options import unknown
from cromss.fusion import FusionNetwork
from cromss.fusion.parts import SINGLE, Parts
from cromss.io.plain import shown
from cromss.types import BRANCHES
from cromss.weights.bands import match_bands
from cromss.weights.diagnose import decoder_mismatch, encoder_mismatch, head_mismatch
from cromss.weights.find import find
from cromss.weights.load_report import LoadReport
from cromss.weights.origins import IMAGENET, NONE, ORIGINS, amount_of
from cromss.weights.part import Part, first_convolution, plain, strip_prefix
from cromss.weights.weights_file import WeightsFile, imagenet_weights, open_weights

log = logging.getLogger(__name__)


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
    """Loads weights from a file into one branch of a network. After an error the network is unchanged.

    Args:
        net: A network of `cromss.fusion`, or a plain one of segmentation_models_pytorch. Changed in place.
        path: A file of torch or of safetensors, or its address, see `cromss.weights.fetch.fetch`. None for ``"none"``,
            and for ``"imagenet"``, which then fetches what segmentation_models_pytorch or timm publish.
        origin: Origin of the file: a key of `cromss.weights.origins.ORIGINS`, or ``"none"``, which does nothing.
        load: ``"encoder"``; ``"encoder+N"``, which adds the first N blocks of the decoder, the deepest first;
            ``"encoder+decoder"``; or ``"all"``, which adds the head. Files of cromss alone have more than encoders.
        modality: The branch of `net` to fill, ``"s1"``, ``"s2"`` or ``"common"``; of a plain network: what it sees.
        source_modality: Modality of the encoder in the file; None takes `modality`.
        bands: The S2 bands that the network sees, a key of `cromss.dataset.bands.SUBSETS`; None where their number
            is enough: the order of 9 bands is then not checked.
        adapt_bands: Fits the first convolution to other bands, see `cromss.weights.bands.fit_bands`.
        sha256: Checksum that the file must have.
        cache: Folder for what is fetched from URLs; None is the user's cache folder.

    Returns:
        What was loaded.

    Raises:
        ValueError: The file cannot be read, is not of this origin, has no encoder of this modality, or does not fill
            every weight of the parts that were asked for; the message names keys and shapes, the likely cause and the
            cure.
    """
    weights = Weights(origin, None if origin == NONE else path, sha256, cache, source_modality, load, adapt_bands)
    _branch_parts(net, modality)  # checked before a large file is read
    if origin == NONE:
        return LoadReport(origin, None, None, load, modality)
    return weights.fill(net, weights.open(net, path, sha256), modality, bands)


@dataclass(frozen=True)
class Weights:
    """The weights that training starts from: loads every branch of a network, each from the encoder of its modality.

    Attributes:
        origin: ``"none"`` for random weights, or a key of `cromss.weights.origins.ORIGINS`.
        path: File or address; a mapping of branches where they take different ones: a branch that it leaves out starts
            from random weights. None for ``"none"``, and for ``"imagenet"``, which then fetches what is published.
        sha256: Checksum of that file, or a mapping of branches; None takes any.
        cache: Folder of what is fetched; None is the user's cache folder.
        modality: Modality of the encoder that all branches take; None takes that of the branch itself.
        load: See `load_weights`, likewise `adapt_bands`.
        adapt_bands: Whether the first convolution is fitted to other bands.

    Raises:
        ValueError: Settings that do not exist or contradict each other.
    """

    origin: str
    path: str | Path | Mapping[str, str | None] | None
    sha256: str | Mapping[str, str | None] | None
    cache: str | Path | None
    modality: str | None
    load: str
    adapt_bands: bool

    def __post_init__(self) -> None:
        if self.origin not in (NONE, *ORIGINS):
            raise ValueError(unknown("backbone.weights", self.origin, (NONE, *ORIGINS)))
        if self.modality not in (None, *BRANCHES):
            raise ValueError(unknown("backbone.weights_modality", self.modality, BRANCHES))
        if amount_of(self.load).blocks != 0 and self.origin != NONE and not ORIGINS[self.origin].has_decoder:
            raise ValueError(
                f"load={self.load}: weights of {self.origin} are encoders without a decoder: set backbone.load=encoder"
            )
        if self.origin == NONE and self.path is not None:
            raise ValueError(
                f"backbone.weights_path={shown(self.path)} with backbone.weights=none, which reads no file: set "
                f"backbone.weights to the origin of the file, one of {', '.join(ORIGINS)}"
            )
        if self.origin not in (NONE, IMAGENET) and self.path is None:
            raise ValueError(f"backbone.weights={self.origin} needs a file: set backbone.weights_path=FILE, or a URL")
        if self.sha256 is not None and self.path is None:
            raise ValueError("backbone.weights_sha256 is the checksum of a file, and backbone.weights_path names none")
        if isinstance(self.path, Mapping) and isinstance(self.sha256, str):
            raise ValueError(
                "backbone.weights_path names files by branch, backbone.weights_sha256 is a single one: name them alike"
            )

    def __call__(self, net: FusionNetwork, bands: int | str) -> list[LoadReport]:
        """Loads weights into all branches.

        A decoder that branches share is loaded once, from the file of S2 if S2 is loaded.

        Args:
            net: Changed in place.
            bands: The S2 bands that it sees, a key of `cromss.dataset.bands.SUBSETS`.

        Returns:
            One report per branch; branches that keep their random weights have none.

        Raises:
            ValueError: See `load_weights`; a branch that the network does not have.
        """
        if self.origin == NONE:
            return []
        given = [value for value in (self.path, self.sha256) if isinstance(value, Mapping)]
        named = [branch for value in given for branch, entry in value.items() if entry is not None]
        if others := [branch for branch in named if branch not in net.branches]:
            raise ValueError(
                f"backbone.weights_path or weights_sha256 names {others[0]}, and the network has "
                f"{', '.join(net.branches)}"
            )
        filled = [branch for branch in net.branches if self.path is None or _of_branch(self.path, branch)]
        for branch in (branch for branch in net.branches if branch not in filled):
            log.info("%s starts from random weights: backbone.weights_path names no file for it", branch)
        owners: dict[str, str] = {}
        for branch in sorted(filled, key=lambda branch: branch != "s2"):
            owners.setdefault(net.parts[branch].decoder, branch)
        opened = functools.cache(functools.partial(self.open, net))
        reports = []
        for branch in filled:
            weights = self if branch in owners.values() else replace(self, load="encoder")
            file = opened(_of_branch(self.path, branch), _of_branch(self.sha256, branch))
            reports.append(weights.fill(net, file, branch, bands))
        return reports

    def open(self, net: nn.Module, path: str | Path | None, sha256: str | None) -> WeightsFile:
        """The file at a path, or without one the published ImageNet weights; errors as in `load_weights`."""
        if path is not None:
            return open_weights(path, sha256, self.cache)
        if not isinstance(net, FusionNetwork):
            raise ValueError(
                f"{self.origin} without a file needs a network of cromss.fusion, which knows its encoder: give a plain "
                "one its weights by encoder_weights='imagenet' of segmentation_models_pytorch"
            )
        return imagenet_weights(net.backbone)

    def fill(self, net: nn.Module, file: WeightsFile, branch: str, bands: int | str | None) -> LoadReport:
        """Loads an opened file into one branch; arguments and errors as in `load_weights`."""
        names, state, amount = _branch_parts(net, branch), net.state_dict(), amount_of(self.load)
        found = find(file, self.origin)
        modality, source = found.parts_for(branch, self.modality)

        def part(title: str, name: str, target: str) -> Part:
            if not (tensors := found.part(name) if name else {}):
                raise ValueError(f"{found} holds no {title}: set backbone.load=encoder")
            return Part(title, f"{name}.", tensors, f"{target}.", strip_prefix(state, target))

        source_wrap, tensors = plain(found.part(source.encoder))
        target_wrap, target = plain(strip_prefix(state, names.encoder))
        prefix = f"{source.encoder}." if source.encoder else ""
        encoder = Part(f"encoder of {branch}", prefix + source_wrap, tensors, f"{names.encoder}.{target_wrap}", target)
        fit, cause = match_bands(encoder, file, self.origin, modality, branch, bands, self.adapt_bands)
        first = [first_convolution(encoder.target)]
        encoder.check(found, lambda wrong: cause if cause and wrong == first else encoder_mismatch(encoder, file))
        # The same number of bands in another order has the same shape.
        if cause:
            raise ValueError(f"{found} does not fit the {encoder.title} of the network: {cause}")
        parts = [encoder]
        if amount.blocks != 0:
            decoder = part("decoder", source.decoder, names.decoder)
            if amount.blocks is not None:
                decoder.limit_to(_first_blocks(net.get_submodule(names.decoder), amount.blocks))
            decoder.check(found, lambda _: decoder_mismatch(file))
            parts.append(decoder)
        if amount.head:
            head = part("segmentation head", source.segmentation_head, names.segmentation_head)
            head.check(found, lambda _: head_mismatch(head))
            parts.append(head)

        for one in parts:
            one.copy()
        return LoadReport(
            origin=self.origin,
            path=file.name,
            sha256=file.sha256,
            load=self.load,
            modality=branch,
            source_modality=modality,
            layout=found.layout.title,
            prefix=prefix,
            loaded=tuple(one.target_prefix + name for one in parts for name in one.loaded),
            missing=tuple(one.target_prefix + name for one in parts for name in one.missing),
            unexpected=tuple(one.source_prefix + name for one in parts for name in one.unexpected),
            bands=fit,
            normalisation=file.network.normalisation,
            statistics=file.network.statistics,
        )


def _of_branch(value: str | Path | Mapping[str, str | None] | None, branch: str) -> str | None:
    entry = value.get(branch) if isinstance(value, Mapping) else value
    # A file named 2020 is a number on the command line.
    return None if entry is None else str(entry)


def _branch_parts(net: nn.Module, branch: str) -> Parts:
    branches = net.branches if isinstance(net, FusionNetwork) else BRANCHES
    if branch not in branches:
        raise ValueError(unknown("modality", branch, branches))
    return net.parts[branch] if isinstance(net, FusionNetwork) else SINGLE


def _first_blocks(decoder: nn.Module, count: int) -> list[str]:
    blocks = [name for name, _ in decoder_blocks(decoder)]
    if count > len(blocks):
        raise ValueError(
            f"load=encoder+{count}: this decoder has {len(blocks)} blocks ({', '.join(blocks)}): set at most "
            f"encoder+{len(blocks)}, or encoder+decoder"
        )
    return blocks[:count]
