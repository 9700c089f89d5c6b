"""One `results.json`, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from cromss.io.plain import NotPlainError
from cromss.runs.names import BEST
from cromss.runs.results import read_results

_MODES = {"reference": "frozen", "frozen": "frozen", "none": "finetuned"}


@dataclass(frozen=True)
class Run:
    """One `results.json`; the fields without a word here are those of `cromss.trainer.results.results`.

    Attributes:
        path: The file.
        modified: When it was written, in seconds since 1970.
        weights: Where the training started, a description a loaded branch; empty for random weights.
        scores: Branch -> ``oa``, ``aa``, ``miou``, ``mf1``, shares in [0, 1] or None where undefined; and ``classes``,
            name -> ``iou``.
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
    git_commit: str | None
    scores: Mapping[str, Mapping[str, Any]]

    @property
    def mode(self) -> str | None:
        """``"frozen"`` or ``"finetuned"`` as the paper calls it; None for an encoder that thaws."""
        return _MODES.get(self.freeze) if self.freeze_epochs is None else None

    @property
    def locations(self) -> int:
        """Number of places that it was tested on."""
        return self.tested["locations"]

    @property
    def scored(self) -> tuple[str, int, int] | None:
        """`dataset.evaluate`, and how many pixels the scores count of how many labelled ones; None if it is unknown."""
        evaluate, pixels, labelled = (self.tested.get(name) for name in ("evaluate", "pixels", "labelled"))
        return None if evaluate is None or pixels is None or labelled is None else (evaluate, pixels, labelled)

    @property
    def part(self) -> str | None:
        """What of the test set was scored, in words, where that is not each labelled pixel."""
        if self.scored is None or self.scored[1] == self.scored[2]:
            return None
        evaluate, pixels, labelled = self.scored
        return f"{pixels / labelled:.1%} of the labelled pixels (dataset.evaluate={evaluate})"

    @property
    def stage(self) -> str | None:
        """Name of the tested checkpoint where it is not that of the end of the training."""
        name = Path(str(self.tested["checkpoint"])).name
        is_early = self.tested["epochs"] not in (None, self.epochs)
        return name if is_early or name == BEST else None


def read_run(path: Path) -> Run:
    """Reads and checks one file.

    Args:
        path: A `results.json`.

    Raises:
        NotPlainError: It is damaged, or of another version of the format.
        OSError: It cannot be read.
    """
    try:
        found = read_results(path)
    except NotPlainError as error:
        raise NotPlainError(f"{error}: test the run again") from error
    values = found.model_dump()
    named = {field.name: values[field.name] for field in fields(Run) if field.name in values}
    return Run(path=path, modified=path.stat().st_mtime, **named)
