"""Which runs are seeds of one experiment, and what they reach together."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cromss.report.paper import Score
from cromss.report.result_file import Run
from cromss.runs.results import MEANS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """Runs that differ in nothing but the seed.

    Attributes:
        name: What a report calls it, e.g. ``"E1"``.
        runs: One a seed, in the order of seeds.
    """

    name: str
    runs: tuple[Run, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds, rising."""
        return tuple(run.seed for run in self.runs)

    @property
    def weights(self) -> str:
        """Origin and file of the weights that training started from."""
        files = dict.fromkeys(f"{entry.get('origin')} {Path(str(entry.get('path'))).name}" for entry in self._weights)
        return ", ".join(files) or "random"

    def scores(self, branch: str) -> dict[str, Score | None]:
        """Metrics over seeds, in percent.

        Args:
            branch: Of the runs' scores.

        Returns:
            ``oa``, ``aa``, ``miou``, ``mf1``; None where a run leaves it undefined.
        """
        return {name: _score([run.scores[branch][name] for run in self.runs]) for name in MEANS}

    def description(self) -> str:
        """What identifies it, in one line."""
        run = self.runs[0]
        parts = [
            f"config {run.config_hash}",
            run.input if run.input == "s1" else f"{run.input} of {run.bands} bands",
            f"{run.backbone} {run.decoder}",
            f"fusion={run.fusion}",
            self.weights + "".join(dict.fromkeys(f" sha256={str(e.get('sha256'))[:8]}" for e in self._weights)),
            f"freeze={run.freeze}" + ("" if run.freeze_epochs is None else f" until epoch {run.freeze_epochs}"),
            f"{run.epochs} epoch{'s' * (run.epochs != 1)}" + (f", tested at {run.stage}" if run.stage else ""),
            "all samples" if run.train_samples is None else f"{run.train_samples} samples",
            f"{run.locations} test locations" + (f", {run.part}" if run.part else ""),
            f"seed{'s' * (len(self.seeds) > 1)} {' '.join(map(str, self.seeds))}",
        ]
        if run.row is not None:
            parts.insert(0, "row " + " ".join(run.row[name] for name in ("table", "input", "weights")))
        return ", ".join(parts)

    @property
    def _weights(self) -> Sequence[Mapping[str, object]]:
        return self.runs[0].weights


def group(runs: Sequence[Run]) -> list[tuple[Run, ...]]:
    """Puts the seeds of each experiment together.

    Two runs belong together where these agree: their settings (`config_hash`), the content of their weights, the size
    of their test set and which of its pixels were scored, their branches and what was tested, the end of the training
    or an earlier checkpoint. Where a seed occurs twice, the newer file counts, and a warning names both.

    Args:
        runs: Any runs.

    Returns:
        Per experiment its runs, one a seed, in the order of seeds; experiments in the order of their first runs.
    """
    groups: dict[tuple[object, ...], dict[int, Run]] = {}
    for run in runs:
        weights = tuple((entry.get("modality"), entry.get("sha256") or entry.get("path")) for entry in run.weights)
        key = (run.config_hash, weights, run.locations, run.scored, run.stage, *run.scores)
        seeds = groups.setdefault(key, {})
        other = seeds.setdefault(run.seed, run)
        if other is not run:
            seeds[run.seed] = _newer(other, run)
    return [tuple(seeds[seed] for seed in sorted(seeds)) for seeds in groups.values()]


def _newer(one: Run, other: Run) -> Run:
    old, new = sorted((one, other), key=lambda run: (run.modified, str(run.path)))
    log.warning(
        "Seed %d of one experiment was run twice: %s counts, the older %s does not", new.seed, new.path, old.path
    )
    return new


def _score(shares: Sequence[float | None]) -> Score | None:
    percents = [100 * share for share in shares if share is not None]
    if len(percents) < len(shares):
        return None
    return Score(statistics.fmean(percents), statistics.stdev(percents) if len(percents) > 1 else None)
