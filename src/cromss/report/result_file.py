"""One `results.json`, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cromss.runs.names import BEST
from cromss.trainer.results import FORMAT, MEANS

_MODES = {"reference": "frozen", "frozen": "frozen", "none": "finetuned"}

_KINDS: Mapping[str, tuple[type, ...]] = {
    "row": (dict, type(None)),
    "dataset": (str,),
    "input": (str,),
    "bands": (int, str),
    "fusion": (str,),
    "backbone": (str,),
    "decoder": (str,),
    "freeze": (str,),
    "freeze_epochs": (int, type(None)),
    "train_samples": (int, type(None)),
    "seed": (int,),
    "epochs": (int,),
    "weights": (list,),
    "tested": (dict,),
    "config_hash": (str,),
    "scores": (dict,),
}


@dataclass(frozen=True)
class Run:
    """One `results.json`; the fields without a word here are those of `cromss.trainer.results.results`.

    Attributes:
        path: The file.
        modified: When it was written, in seconds since 1970.
        weights: Where the training started, a description a loaded branch; empty for random weights.
        scores: Branch -> ``oa``, ``aa``, ``miou``, ``mf1``, shares in [0, 1] or None where undefined.
    """

    path: Path
    modified: float
    row: Mapping[str, str] | None
    dataset: str
    input: str
    bands: int | str
    fusion: str
    backbone: str
    decoder: str
    freeze: str
    freeze_epochs: int | None
    train_samples: int | None
    seed: int
    epochs: int
    weights: Sequence[Mapping[str, Any]]
    tested: Mapping[str, Any]
    config_hash: str
    scores: Mapping[str, Mapping[str, float | None]]

    @property
    def mode(self) -> str | None:
        """``"frozen"`` or ``"finetuned"`` as the paper calls it; None for an encoder that thaws."""
        return _MODES.get(self.freeze) if self.freeze_epochs is None else None

    @property
    def locations(self) -> int:
        """Number of places that it was tested on."""
        return self.tested["locations"]

    @property
    def stage(self) -> str | None:
        """Name of the tested checkpoint where it is not that of the end of the training."""
        name = Path(str(self.tested.get("checkpoint"))).name
        is_early = self.tested.get("epochs", self.epochs) != self.epochs
        return name if is_early or name == BEST else None


def read_run(path: Path) -> Run:
    """Reads and checks one file.

    Args:
        path: A `results.json`.

    Raises:
        ValueError: It is damaged, or of another version of the format.
        OSError: It cannot be read.
    """
    try:
        found = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"this is no JSON ({error}): test the run again") from error
    if not isinstance(found, dict) or "format" not in found:
        raise ValueError("this is not the result of a run: it names no format")
    if found["format"] != FORMAT:
        raise ValueError(f"format {found['format']}, and this program reads {FORMAT}: test the run again")
    for name, kinds in _KINDS.items():
        if name not in found or not isinstance(found[name], kinds):
            raise ValueError(f"{name}={found.get(name, 'missing')} is damaged: test the run again")
    _check_inner(found)
    return Run(path=path, modified=path.stat().st_mtime, **{name: found[name] for name in _KINDS})


def _check_inner(found: Mapping[str, Any]) -> None:
    if found["row"] is not None and not all(
        isinstance(found["row"].get(n), str) for n in ("table", "input", "weights")
    ):
        raise ValueError(f"row={found['row']} must name table, input and weights")
    if not all(isinstance(entry, dict) for entry in found["weights"]):
        raise ValueError(f"weights={found['weights']} is damaged: test the run again")
    if not isinstance(found["tested"].get("locations"), int):
        raise ValueError(f"tested={found['tested']} does not say how many locations: test the run again")
    if not found["scores"]:
        raise ValueError("scores={} names no branch: test the run again")
    for branch, scores in found["scores"].items():
        for name in MEANS:
            value = scores.get(name, "missing") if isinstance(scores, dict) else "missing"
            if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
                raise ValueError(f"{name} of {branch} is {value}, not a share in [0, 1]: test the run again")
