"""Finds the encoders in a file of weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from cromss.fusion.parts import Parts
from cromss.io.plain import shown
from cromss.types import BRANCHES
from cromss.weights.bands import bands_of_count
from cromss.weights.origins import ANY, ORIGINS, Layout
from cromss.weights.part import first_convolution, strip_prefix
from cromss.weights.weights_file import WeightsFile


@dataclass(frozen=True)
class Found:
    """The encoders and decoders that were found in a file.

    Attributes:
        file: The opened file.
        origin: Whose file it is, a key of `cromss.weights.origins.ORIGINS`.
        state: Its state dict.
        layout: The layout that matches.
        parts: Those of its parts whose encoder the file holds.
    """

    file: WeightsFile
    origin: str
    state: Mapping[str, Tensor]
    layout: Layout
    parts: Mapping[str, Parts]

    def __str__(self) -> str:
        return f"{self.file} ({self.origin}, {self.layout.title})"

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of a part by their names within it, classifiers left out."""
        return {key: value for key, value in strip_prefix(self.state, name).items() if not key.startswith("fc")}

    def parts_for(self, branch: str, modality: str | None) -> tuple[str, Parts]:
        """Chooses the encoder for a branch.

        Args:
            branch: The branch that it is for.
            modality: The modality that was asked for; None takes that of the branch.

        Returns:
            The modality that the encoder was trained on, and where it and its decoder lie.

        Raises:
            ValueError: The file has no encoder of this modality.
        """
        asked, parts = modality or branch, dict(self.parts)
        if names := parts.pop(ANY, None):
            seen = self.file.network.modality or self._modality_by_channels(names.encoder, asked) or asked
            # ImageNet weights may be used for any branch; the bands are checked later.
            if self.origin != "cromss" and modality is None:
                return seen, names
            parts[seen] = names
        if asked not in parts:
            first = next(iter(parts))
            raise ValueError(
                f"{self} holds encoders of {', '.join(parts)} only, not of {asked}: give files by branch, "
                f"backbone.weights_path={{{first}: FILE, …}}, where one without starts from random weights; or take "
                f"what there is by backbone.weights_modality={first}, and backbone.adapt_bands=true where it goes to a "
                "branch that sees other bands"
            )
        return asked, parts[asked]

    def _modality_by_channels(self, encoder: str, asked: str) -> str | None:
        tensors = self.part(encoder)
        if (first := first_convolution(tensors)) is None:
            return None
        guess = bands_of_count(tensors[first].shape[1], ORIGINS[self.origin].orders, (asked, *BRANCHES))
        return guess[0] if guess else None


def find(file: WeightsFile, origin: str) -> Found:
    """Finds the layout of a file.

    Args:
        file: An opened file.
        origin: A key of `cromss.weights.origins.ORIGINS`.

    Returns:
        The first layout that matches, by containers and then by layouts.

    Raises:
        ValueError: None matches; the message names the origin whose keys these are.
    """
    if found := _search(file, origin):
        return found
    others = [other for other in ORIGINS if other != origin and _search(file, other)]
    if others:
        raise ValueError(
            f"{file} holds no weights of {origin}; its keys look like those of {' or '.join(others)}: "
            f"set backbone.weights={others[0]}"
        )
    states = [file.state(container) for row in ORIGINS.values() for container in row.containers]
    keys = list(next((state for state in states if state), file.content))
    layouts = [layout for layout in ORIGINS[origin].layouts if not layout.marked]
    names = [f"{parts.encoder}.…" for layout in layouts for parts in layout.parts.values() if parts.encoder]
    raise ValueError(
        f"{file} holds no weights of {origin}, nor of {', '.join(other for other in ORIGINS if other != origin)}: its "
        f"keys are {', '.join(map(shown, keys[:3])) or 'none'}, …, and {origin} has {' or '.join(names) or _PLAIN}"
    )


_PLAIN = "conv1.weight"
"""Tells an encoder whose keys have no prefix."""


def _search(file: WeightsFile, origin: str) -> Found | None:
    for container in ORIGINS[origin].containers:
        state = file.state(container)
        for layout in ORIGINS[origin].layouts:
            if (layout.marked and not file.is_exported) or not _has(state, layout.needs):
                continue
            if parts := {key: names for key, names in layout.parts.items() if _holds(state, names.encoder, layout)}:
                return Found(file, origin, state, layout, parts)
    return None


def _holds(state: Mapping[str, Tensor], encoder: str, layout: Layout) -> bool:
    return _has(state, encoder) if encoder else layout.marked or _PLAIN in state


def _has(state: Mapping[str, Tensor], name: str) -> bool:
    return any(key.startswith(f"{name}." if name else "") for key in state)
