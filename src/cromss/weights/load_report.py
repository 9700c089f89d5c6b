"""A report on the weights that were loaded into a network, for the log and for the files of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cromss.io.redact import redact
from cromss.weights.bands import BandFit


@dataclass(frozen=True)
class LoadReport:
    """What was loaded from a file into one branch of a network.

    Attributes:
        origin: See `cromss.backbone.load_weights`, likewise `load` and `modality`.
        path: The file or address; a description if the weights are no file, None if there are none.
        sha256: Checksum of the file.
        load: The parts that were asked for.
        modality: The branch that was filled.
        source_modality: The modality of the weights.
        layout: Kind of file, e.g. ``"late fusion"``.
        prefix: Prefix of the encoder in its state dict.
        loaded: Names in the network's state dict that were filled.
        missing: Names that were not, as they are not in the file: only counters of batch norm.
        unexpected: Names in the file's state dict, within the parts that were used, that the network does not have.
        bands: How the first convolution was fitted to other bands; None where it was not.
        normalisation: How the images were scaled that the weights were trained on; None if unknown.
        statistics: Source of their statistics, see `cromss.dataset.own_statistics.STATISTICS`; None if unknown.
    """

    origin: str
    path: str | None
    sha256: str | None
    load: str
    modality: str
    source_modality: str | None = None
    layout: str | None = None
    prefix: str | None = None
    loaded: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    bands: BandFit | None = None
    normalisation: str | None = None
    statistics: str | None = None

    def __str__(self) -> str:
        if self.path is None:
            return f"{self.modality}: random weights"
        source = "" if self.source_modality == self.modality else f" from {self.source_modality}"
        where = ", ".join(part for part in (self.origin, self.layout, self.prefix) if part)
        unused = f"; {len(self.unexpected)} of the file are not used" if self.unexpected else ""
        count = f"{len(self.loaded)} of {len(self.loaded) + len(self.missing)} tensors"
        line = f"{self.load} {self.modality}{source}: {count} from {redact(self.path)} ({where}){unused}"
        return line if self.bands is None else f"{line}\n  {self.bands}"

    def summary(self) -> dict[str, Any]:
        """The report as plain values, ready for JSON; the names that were loaded become their number."""
        names = ("origin", "sha256", "load", "modality", "source_modality", "layout", "prefix")
        return {name: getattr(self, name) for name in names} | {
            "path": None if self.path is None else redact(self.path),
            "loaded": len(self.loaded),
            "missing": list(self.missing),
            "unexpected": list(self.unexpected),
            "bands": None if self.bands is None else self.bands.summary(),
        }
