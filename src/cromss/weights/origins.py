"""Where the files of each origin keep their encoders, as a table: a new origin is a new row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from cromss.io.plain import shown
from cromss.weights.part import below
from cromss.weights.weights_file import WeightsFile

ANY = "any"
"""Key of an encoder whose modality its prefix does not tell."""

NONE = "none"
"""The origin of random weights."""


class Place(NamedTuple):
    """Prefixes of a branch's parts in a state dict; None where such files have no such part."""

    encoder: str
    decoder: str | None = None
    segmentation_head: str | None = None


@dataclass(frozen=True)
class Layout:
    """One way in which files of an origin are laid out.

    Attributes:
        title: What a report calls it.
        places: Modality, or `ANY`, -> its parts.
        needs: A prefix without which it is another layout.
        marked: Whether it is told by the metadata that `cromss.weights.export` writes, since its keys have no prefix.
    """

    title: str
    places: Mapping[str, Place]
    needs: str = ""
    marked: bool = False


@dataclass(frozen=True)
class Origin:
    """What is known of an origin's files.

    Attributes:
        containers: Keys of the file under which the state dict may lie, tried in order; "" is the file itself.
        layouts: Tried in order.
        orders: Number of S2 bands -> name in `cromss.dataset.bands.SUBSETS`, where it is not the number itself.
    """

    containers: tuple[str, ...]
    layouts: tuple[Layout, ...]
    orders: Mapping[int, str] = field(default_factory=dict)

    @property
    def has_decoder(self) -> bool:
        """Whether some of its files hold more than encoders."""
        return any(place.decoder for layout in self.layouts for place in layout.places.values())


def _network(name: str) -> Place:
    return Place(f"{name}encoder.", f"{name}decoder.", f"{name}segmentation_head.")


def _anywhere(title: str, encoder: str) -> Layout:
    return Layout(title, {ANY: Place(encoder)})


_PLAIN = ("", "state_dict", "model")

ORIGINS: Mapping[str, Origin] = {
    # Liu et al. 2025, and the checkpoints of this project, which have the same keys.
    "cromss": Origin(
        ("state_dict", ""),
        (
            Layout(
                "late fusion",
                {"s1": _network("net.model1."), "s2": _network("net.model2."), "common": _network("net.model_com.")},
            ),
            Layout(
                "middle fusion",
                {
                    "s1": _network("net.")._replace(encoder="net.encoder1."),
                    "s2": _network("net."),
                    "common": _network("net.")._replace(encoder="net.encoder_com."),
                },
                needs="net.encoder1.",
            ),
            Layout("one branch", {ANY: _network("net.")}),
            Layout("exported", {ANY: Place("")}, marked=True),
        ),
    ),
    # MoCo-v2 and DINO of SSL4EO-S12 (Wang et al. 2023).
    "moco": Origin(
        ("state_dict",),
        (_anywhere("query encoder", "module.encoder_q."), _anywhere("key encoder", "module.encoder_k.")),
    ),
    "dino": Origin(("teacher", "student"), (_anywhere("backbone", "module.backbone."),)),
    # Wang et al. 2024; two encoders a file.
    "decur": Origin(
        _PLAIN,
        (Layout("two backbones", {"s1": Place("module.backbone_1."), "s2": Place("module.backbone_2.")}),),
    ),
    # SatlasPretrain (Bastani et al. 2023).
    "satlas": Origin(_PLAIN, (_anywhere("backbone", "backbone.resnet."),), orders={9: "9_rgb_first"}),
    # torchvision, timm, and whatever else is a plain ResNet.
    "imagenet": Origin(_PLAIN, (_anywhere("plain", ""),)),
}
"""Origin -> where its files keep what. Keys of encoders that start with ``fc`` are classifiers and left out."""


class Found(NamedTuple):
    """The state dict of a file, and where its encoders are.

    Attributes:
        container: Key of the file under which the state dict lies.
        state: That state dict.
        layout: The layout that matches.
        places: Those of its places that the file fills.
    """

    container: str
    state: Mapping[str, Tensor]
    layout: Layout
    places: Mapping[str, Place]

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below a prefix by the rest of their names, classifiers left out."""
        return {name: value for name, value in below(self.state, prefix).items() if not name.startswith("fc")}


def find(file: WeightsFile, origin: str) -> Found:
    """Looks for the layout of a file.

    Args:
        file: An opened file.
        origin: A key of `ORIGINS`.

    Returns:
        The first that matches, by containers and then by layouts.

    Raises:
        ValueError: None does; the message names the origin whose keys these are.
    """
    if found := _search(file, origin):
        return found
    others = [other for other in ORIGINS if other != origin and _search(file, other)]
    if others:
        raise ValueError(
            f"{file} holds no weights of {origin}; its keys look like those of {' or '.join(others)}: "
            f"say backbone.weights={others[0]}"
        )
    states = [file.state(container) for row in ORIGINS.values() for container in row.containers]
    keys = list(next((state for state in states if state), file.content))
    raise ValueError(
        f"{file} holds no weights of {origin}, nor of {', '.join(other for other in ORIGINS if other != origin)}: its "
        f"keys are {', '.join(map(shown, keys[:3])) or 'none'}, …, and {origin} has {' or '.join(_prefixes(origin))}"
    )


def _search(file: WeightsFile, origin: str) -> Found | None:
    for container in ORIGINS[origin].containers:
        state = file.state(container)
        for layout in ORIGINS[origin].layouts:
            if layout.marked and not file.is_exported:
                continue
            if not any(name.startswith(layout.needs) for name in state):
                continue
            if places := {name: place for name, place in layout.places.items() if _is_there(place, layout, state)}:
                return Found(container, state, layout, places)
    return None


def _is_there(place: Place, layout: Layout, state: Mapping[str, Tensor]) -> bool:
    if place.encoder:
        return any(name.startswith(place.encoder) for name in state)
    # Everything starts with nothing.
    return layout.marked or "conv1.weight" in state


def _prefixes(origin: str) -> list[str]:
    return [
        f"{place.encoder}…" if place.encoder else "conv1.weight"
        for layout in ORIGINS[origin].layouts
        if not layout.marked
        for place in layout.places.values()
    ]
