"""The weights that a network starts from, as the settings of the backbone group say."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping, Sequence

from torch import nn

from cromss.io.plain import shown
from cromss.types import BRANCHES
from cromss.weights.load import Request, fill, parse_load, pretrained
from cromss.weights.origins import NONE, ORIGINS
from cromss.weights.report import LoadReport
from cromss.weights.weights_file import WeightsFile, open_weights

log = logging.getLogger(__name__)


class Weights:
    """Where training starts: fills every branch of a network, each from the encoder of its own modality.

    Args:
        origin: ``"none"`` for random weights, or a key of `cromss.weights.origins.ORIGINS`.
        path: File or URL; a mapping of branches where they take different ones: a branch that it leaves out starts from
            random weights. None for ``"none"``, and for ``"imagenet"``, which then fetches what is published.
        sha256: Checksum of that file, or a mapping of branches; None takes any.
        cache: Folder of what is fetched.
        modality: Whose encoder to take out of the file for all branches; None takes each branch's own.
        load: See `cromss.backbone.load_weights`.
        adapt_bands: See `cromss.backbone.load_weights`.

    Raises:
        ValueError: Settings that do not exist or contradict each other.
    """

    def __init__(
        self,
        origin: str,
        path: str | Mapping[str, str] | None,
        sha256: str | Mapping[str, str] | None,
        cache: str,
        modality: str | None,
        load: str,
        adapt_bands: bool,
    ) -> None:
        if origin not in (NONE, *ORIGINS):
            close = difflib.get_close_matches(origin, ORIGINS, n=1)
            hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join((NONE, *ORIGINS))}"
            raise ValueError(f"backbone.weights={origin} is unknown: {hint}")
        if modality is not None and modality not in BRANCHES:
            raise ValueError(f"backbone.weights_modality={modality} is unknown: choose one of {', '.join(BRANCHES)}")
        parse_load(load, origin)
        if origin == NONE and path is not None:
            raise ValueError(
                f"backbone.weights_path={shown(path)} with backbone.weights=none, which reads nothing: set "
                f"backbone.weights to whose they are, one of {', '.join(ORIGINS)}"
            )
        if origin not in (NONE, "imagenet") and path is None:
            raise ValueError(f"backbone.weights={origin} needs a file: say backbone.weights_path=FILE, or a URL")
        for name, value in (("weights_path", path), ("weights_sha256", sha256)):
            if isinstance(value, Sequence) and not isinstance(value, str):
                raise ValueError(
                    f"backbone.{name}={value} is a list: give one for all branches, or name them, "
                    f"backbone.{name}={{s1: …, s2: …}}"
                )
        self.origin = origin
        self.paths = _by_branch("weights_path", path)
        self.checksums = _by_branch("weights_sha256", sha256)
        self.cache = cache
        self.modality = modality
        self.load = load
        self.adapt_bands = adapt_bands
        for checksum in filter(None, self.checksums.values()):
            if not re.fullmatch("[0-9a-fA-F]{64}", checksum):
                raise ValueError(f"backbone.weights_sha256={checksum} is no SHA-256: that has 64 hexadecimal digits")
        if sha256 is not None and path is None:
            raise ValueError("backbone.weights_sha256 is the checksum of a file, and backbone.weights_path names none")
        if isinstance(path, Mapping) and isinstance(sha256, str):
            raise ValueError(
                "backbone.weights_path names files by branch, backbone.weights_sha256 is a single one: name them alike"
            )

    def __call__(self, net: nn.Module, bands: int | str) -> list[LoadReport]:
        """Fills a network.

        A decoder that branches share is filled once, from the file of S2 where S2 is filled.

        Args:
            net: Of `cromss.fusion`. Changed in place.
            bands: The S2 bands that it sees, a key of `cromss.dataset.bands.SUBSETS`.

        Returns:
            A report a branch, without those that keep their random weights.

        Raises:
            ValueError: See `cromss.backbone.load_weights`; a branch that the network does not have.
        """
        if self.origin == NONE:
            return []
        branches: Sequence[str] = list(net.parts)  # type: ignore[arg-type]
        if strange := [branch for branch in (*self.paths, *self.checksums) if branch not in (*branches, "")]:
            raise ValueError(
                f"backbone.weights_path or weights_sha256 names {strange[0]}, and the network has {', '.join(branches)}"
            )
        filled = [branch for branch in branches if "" in self.paths or branch in self.paths]
        for branch in (branch for branch in branches if branch not in filled):
            log.info("%s starts from random weights: backbone.weights_path names no file for it", branch)
        opened: dict[tuple[str, str | None], WeightsFile] = {}
        reports = []
        for branch in filled:
            load = self.load if branch in _decoder_owners(net, filled) else "encoder"
            request = Request(self.origin, load, branch, self.modality, bands, self.adapt_bands)
            path = self.paths.get(branch, self.paths.get(""))
            checksum = self.checksums.get(branch, self.checksums.get(""))
            if path is None:
                file = pretrained(net, request)
            else:
                key = path, checksum
                file = opened[key] = opened.get(key) or open_weights(path, checksum, self.cache)
            reports.append(fill(net, file, request))
        return reports


def _by_branch(name: str, value: str | Mapping[str, str] | None) -> dict[str, str | None]:
    """Branch -> value, under "" what holds for all."""
    if not isinstance(value, Mapping):
        # A file named 2020 comes from the command line as a number.
        return {"": None if value is None else str(value)}
    if strange := [branch for branch in value if branch not in BRANCHES]:
        raise ValueError(f"backbone.{name} names {strange[0]}: it takes {', '.join(BRANCHES)}")
    return {branch: str(entry) for branch, entry in value.items() if entry is not None}


def _decoder_owners(net: nn.Module, branches: Sequence[str]) -> set[str]:
    """Of the branches that share a decoder, the one whose file fills it."""
    owners: dict[str, str] = {}
    for branch in sorted(branches, key=lambda branch: branch != "s2"):
        owners.setdefault(net.parts[branch].decoder, branch)  # type: ignore[index, union-attr]
    return set(owners.values())
