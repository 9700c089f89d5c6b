"""The weights that a network starts from, as the settings of the backbone group say."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import replace

from cromss.fusion import FusionNetwork
from cromss.weights.load import Source, fill, find_weights
from cromss.weights.load_report import LoadReport
from cromss.weights.origins import NONE
from cromss.weights.weights_file import WeightsFile

log = logging.getLogger(__name__)


class Weights:
    """Where training starts: fills every branch of a network, each from the encoder of its own modality.

    Args:
        origin: ``"none"`` for random weights, or a key of `cromss.weights.origins.ORIGINS`.
        path: File or address; a mapping of branches where they take different ones: a branch that it leaves out starts
            from random weights. None for ``"none"``, and for ``"imagenet"``, which then fetches what is published.
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
        path: str | Mapping[str, str | None] | None,
        sha256: str | Mapping[str, str | None] | None,
        cache: str,
        modality: str | None,
        load: str,
        adapt_bands: bool,
    ) -> None:
        self.source = Source(origin, load, modality, adapt_bands)
        self.source.check_path(path)
        if sha256 is not None and path is None:
            raise ValueError("backbone.weights_sha256 is the checksum of a file, and backbone.weights_path names none")
        if isinstance(path, Mapping) and isinstance(sha256, str):
            raise ValueError(
                "backbone.weights_path names files by branch, backbone.weights_sha256 is a single one: name them alike"
            )
        self.path = path
        self.sha256 = sha256
        self.cache = cache

    def __call__(self, net: FusionNetwork, bands: int | str) -> list[LoadReport]:
        """Fills a network.

        A decoder that branches share is filled once, from the file of S2 where S2 is filled.

        Args:
            net: Changed in place.
            bands: The S2 bands that it sees, a key of `cromss.dataset.bands.SUBSETS`.

        Returns:
            A report per branch, without those that keep their random weights.

        Raises:
            ValueError: See `cromss.backbone.load_weights`; a branch that the network does not have.
        """
        if self.source.origin == NONE:
            return []
        given = [value for value in (self.path, self.sha256) if isinstance(value, Mapping)]
        named = [branch for value in given for branch, entry in value.items() if entry is not None]
        if strange := [branch for branch in named if branch not in net.branches]:
            raise ValueError(
                f"backbone.weights_path or weights_sha256 names {strange[0]}, and the network has "
                f"{', '.join(net.branches)}"
            )
        filled = [branch for branch in net.branches if self.path is None or _of_branch(self.path, branch)]
        for branch in (branch for branch in net.branches if branch not in filled):
            log.info("%s starts from random weights: backbone.weights_path names no file for it", branch)
        # The last one wins: S2, else the first branch.
        by_owner = sorted(reversed(filled), key=lambda branch: branch == "s2")
        owners = {net.parts[branch].decoder: branch for branch in by_owner}.values()

        @functools.cache
        def opened(path: str | None, sha256: str | None) -> WeightsFile:
            return find_weights(net, path, self.source, sha256, self.cache)

        reports = []
        for branch in filled:
            source = self.source if branch in owners else replace(self.source, load="encoder")
            file = opened(_of_branch(self.path, branch), _of_branch(self.sha256, branch))
            reports.append(fill(net, file, source, branch, bands))
        return reports


def _of_branch(value: str | Mapping[str, str | None] | None, branch: str) -> str | None:
    entry = value.get(branch) if isinstance(value, Mapping) else value
    # A file named 2020 comes from the command line as a number.
    return None if entry is None else str(entry)
