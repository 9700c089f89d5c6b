"""A part of a file of weights and the part of a network that it is loaded into."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

COUNTER = "num_batches_tracked"
"""End of the name of the counter of batch norm, which is rarely used and missing in old files."""

_TIMM = "model."
"""What segmentation_models_pytorch puts before the names of encoders that it takes from timm."""

_SHOWN = 5
"""Most keys that an error lists."""


@dataclass
class Part:
    """Tensors of a file and of a network by the names that both have in common.

    Attributes:
        title: Name in messages.
        source_prefix: Prefix of the tensors in the state dict of the file.
        source: The file's tensors.
        target_prefix: Prefix of the tensors in the state dict of the network.
        target: The network's tensors; writing into them changes the network.
    """

    title: str
    source_prefix: str
    source: dict[str, Tensor]
    target_prefix: str
    target: dict[str, Tensor]

    @property
    def loaded(self) -> list[str]:
        """Names that both have."""
        return [name for name in self.target if name in self.source]

    @property
    def missing(self) -> list[str]:
        """Names that only the network has."""
        return [name for name in self.target if name not in self.source]

    @property
    def unexpected(self) -> list[str]:
        """Names that only the file has."""
        return [name for name in self.source if name not in self.target]

    def limit_to(self, modules: Sequence[str]) -> None:
        """Keeps only the tensors of the given submodules, by dotted names."""
        prefixes = tuple(f"{module}." for module in modules)
        self.source = {name: value for name, value in self.source.items() if name.startswith(prefixes)}
        self.target = {name: value for name, value in self.target.items() if name.startswith(prefixes)}

    def check(self, where: object, cause: Callable[[Sequence[str]], str]) -> None:
        """Checks that the file fills the network's part with finite numbers.

        Args:
            where: The file, for the message.
            cause: Names that do not fit -> the likely cause.

        Raises:
            ValueError: A name that is missing in the file or has another shape there, integers, or a value that is not
                finite.
        """
        wrong = [name for name in self.missing if not name.endswith(COUNTER)]
        wrong += [name for name in self.loaded if self.source[name].shape != self.target[name].shape]
        if wrong:
            found, wanted = shapes(self.source), shapes(self.target)
            listed = "".join(
                f"    {name}: file {found.get(name, 'has none')}, network {wanted[name]}\n" for name in wrong[:_SHOWN]
            )
            raise ValueError(
                f"{where} does not fill the {self.title} of the network, {len(wrong)} of whose {len(self.target)} "
                f"tensors differ:\n{listed}  {cause(wrong)}"
            )
        for name in self.loaded:
            if self.target[name].is_floating_point() and not self.source[name].is_floating_point():
                raise ValueError(
                    f"{where} holds {name} as {self.source[name].dtype}, which are no weights without the scale that "
                    "they were quantised by: take a copy in floating point"
                )
            # The sum is finite only if all values are, and needs no second tensor.
            if not torch.isfinite(self.source[name].sum(dtype=torch.float64)):
                raise ValueError(f"{where} holds values that are not finite in {name}: take another copy, or file")

    def copy(self) -> None:
        """Writes the file's tensors into the network's."""
        for name in self.loaded:
            self.target[name].copy_(self.source[name])


def strip_prefix(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors below a dotted name, by the rest of their names; all of them for ``""``."""
    prefix = f"{name}." if name else ""
    return {key[len(prefix) :]: value for key, value in tensors.items() if key.startswith(prefix)}


def plain(tensors: dict[str, Tensor]) -> tuple[str, dict[str, Tensor]]:
    """An encoder by the names of torchvision and timm, and the prefix that was stripped for that, if any."""
    wrapped = bool(tensors) and all(name.startswith(_TIMM) for name in tensors)
    return (_TIMM, strip_prefix(tensors, _TIMM[:-1])) if wrapped else ("", tensors)


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape."""
    return {name: tuple(value.shape) for name, value in tensors.items()}


def first_convolution(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first kernels ``(out, K, h, w)``, in the order in which an encoder has its parts."""
    return next((name for name, value in tensors.items() if value.ndim == 4), None)
