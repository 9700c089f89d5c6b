"""The summary at the end of a run: its scores, and where its files are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cromss.io.atomic import write_file
from cromss.runs.metrics import read_metrics_table


@dataclass(frozen=True)
class Summary:
    """What a run says at its end; scores are read from the metrics file, which has the epochs before a resume, too.

    Attributes:
        metrics: The metrics file.
        checkpoint: The last checkpoint.
        best_checkpoint: The checkpoint with the best monitored metric.
        picture: The last picture.
        results: What the test found, if there was one.
        wandb: Folder of the W&B run, if there is one.
        seconds: Duration of this process's part of the run.
    """

    metrics: Path
    checkpoint: Path
    best_checkpoint: Path
    picture: Path
    results: Path | None
    wandb: Path | None
    seconds: float

    def last_epoch(self) -> dict[str, float]:
        """All metrics of the last epoch, by name."""
        table = read_metrics_table(self.metrics)
        step = table.steps[-1]
        return {"epoch": table.epochs[-1], **({} if step is None else {"step": step}), **table.rows[-1]}

    def save(self, path: Path) -> None:
        """Writes everything as JSON."""
        values = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        write_file(path, json.dumps(values | {"last_epoch": self.last_epoch()}, indent=1).encode())

    def text(self, branches: Sequence[str]) -> str:
        """A short table and the paths.

        Args:
            branches: Columns of the table.
        """
        values = self.last_epoch()
        rows = {
            "validation mIoU against the truth": ("val/{}/miou_true", "{:.3f}"),
            "validation mIoU against the noisy labels": ("val/{}/miou", "{:.3f}"),
            "wrong labels among all": ("train/{}/wrong_all", "{:.1%}"),
            "wrong labels among those of weight 1": ("train/{}/wrong_selected", "{:.1%}"),
            "labels of weight 1": ("train/{}/selected", "{:.1%}"),
        }
        shown = []
        for title, (name, form) in rows.items():
            cells = [form.format(values[key]) if (key := name.format(b)) in values else "-" for b in branches]
            if set(cells) != {"-"}:
                shown.append(f"{title:42}" + "".join(f"{cell:>9}" for cell in cells))
        epochs = f"after {int(values['epoch']) + 1} epochs"
        lines = ["", f"{epochs:42}" + "".join(f"{b:>9}" for b in branches), *shown] if shown else []
        lines += [
            "",
            f"time         {int(self.seconds // 60)} min {int(self.seconds % 60)} s",
            f"checkpoint   {self.checkpoint}",
            f"  best       {self.best_checkpoint}",
            f"metrics      {self.metrics}",
            f"picture      {self.picture}",
            *([f"results      {self.results}"] if self.results else []),
            f"W&B run      {self.wandb or 'disabled'}",
        ]
        return "\n".join(lines)
