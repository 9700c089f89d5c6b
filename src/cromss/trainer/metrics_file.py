"""The run's own record of its metrics: a CSV that needs no account and survives a kill."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers.logger import Logger

from cromss.io.atomic import write_file
from cromss.runs.metrics import read_metrics_table


class MetricsFile(Logger):
    """Writes one row per epoch; the whole file is replaced by a rename: a reader never sees half a file.

    A resumed run continues the same file: epochs that are trained again replace their rows.

    Args:
        path: The CSV file.

    Raises:
        ValueError: There is a file, and it is damaged.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._rows: dict[int, dict[str, float]] = {}
        self._pending: dict[str, float] = {}
        if path.exists():
            self._rows = _rows(path)

    @property
    def name(self) -> str:
        """Name of this record."""
        return "metrics"

    @property
    def version(self) -> str:
        """A run has one record."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Adds to the row of the epoch that `metrics` names; without one, to the row that comes next."""
        values = {name: float(value) for name, value in metrics.items()}
        if "epoch" not in values:
            self._pending |= values
            return
        row = self._rows.setdefault(int(values["epoch"]), {})
        row |= self._pending | values | ({} if step is None else {"step": step})
        self._pending = {}
        self._write()

    @rank_zero_only
    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """The resolved config is saved beside this file, whole."""

    def _write(self) -> None:
        names = sorted({name for row in self._rows.values() for name in row} - {"epoch", "step"})
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, ["epoch", "step", *names])
        writer.writeheader()
        for epoch in sorted(self._rows):
            row = self._rows[epoch]
            writer.writerow(row | {key: int(row[key]) for key in ("epoch", "step") if key in row})
        write_file(self.path, text.getvalue().encode())


def _rows(path: Path) -> dict[int, dict[str, float]]:
    """Epoch -> its row, as `MetricsFile` keeps it."""
    try:
        table = read_metrics_table(path)
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged ({error}), and this run would continue it: mend it, or move it away to record the "
            "epochs from here on"
        ) from error
    return {
        epoch: {"epoch": epoch, **({} if step is None else {"step": step}), **row}
        for epoch, step, row in zip(table.epochs, table.steps, table.rows, strict=True)
    }
