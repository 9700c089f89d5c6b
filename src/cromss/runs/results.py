"""The one reader of `results.json`, the results of a test; `cromss.trainer.results` writes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from cromss.io.plain import Limits, Record
from cromss.runs.files import Text, Word, read_json_record
from cromss.runs.identity import config_hash

MEANS = ("oa", "aa", "miou", "mf1")
"""Scores over all classes: overall accuracy, average accuracy, mean IoU, mean F1."""

FORMAT = 1
"""Version of the layout of `results.json`."""

LIMITS = Limits(size=2**22, values=250_000, text=2**16)
"""Limits: enough for the confusion matrices of three branches with 255 classes."""

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class RepeatedRow(Record):
    """The row of a paper's table that a run repeats."""

    table: Text
    input: Text
    weights: Text


class StartingWeights(Record):
    """Where a branch of the network started from; see `cromss.weights.LoadReport`."""

    origin: Text | None = None
    path: Text | None = None
    sha256: Text | None = None
    modality: Text | None = None


class Tested(Record):
    """What was tested: the checkpoint, the epochs that it was trained, and the number of locations.

    And the part of these that the scores count, see `cromss.trainer.results.scored_part`; None in results of before it
    was written down.
    """

    checkpoint: Text | None = None
    epochs: Count | None = None
    locations: Count
    evaluate: Literal["centre", "whole"] | None = None
    season: Count | None = None
    seasons: Count | None = None
    pixels: Count | None = None
    labelled: Annotated[Count, Field(ge=1)] | None = None
    ignored: Count | None = None
    share: Share | None = None


class ClassScores(Record):
    """Scores of one class; None where undefined."""

    iou: Share | None


class BranchScores(Record):
    """Scores of one branch, shares in [0, 1]; None where undefined."""

    oa: Share | None
    aa: Share | None
    miou: Share | None
    mf1: Share | None
    classes: Annotated[dict[Text, ClassScores], Field(default_factory=dict, max_length=255)]


class RunSettings(Record):
    """The few settings by which people compare runs; see `settings_of`."""

    row: RepeatedRow | None
    dataset: Text
    input: Text
    bands: int | Text
    fusion: Text
    backbone: Text
    decoder: Text
    freeze: Text
    freeze_epochs: Count | None
    train_samples: Count | None
    seed: int
    epochs: Count
    config_hash: Text


class Results(RunSettings):
    """A `results.json`; see `cromss.trainer.results.results`."""

    weights: list[StartingWeights]
    tested: Tested
    git_commit: Text | None = None
    scores: Annotated[dict[Word, BranchScores], Field(min_length=1, max_length=64)]


def settings_of(config: Mapping[str, Any], choices: Mapping[str, str]) -> dict[str, Any]:
    """The fields of `RunSettings`.

    Args:
        config: The resolved config of a run.
        choices: Group -> chosen option.
    """
    backbone, dataset, row = config["backbone"], config["dataset"], config["row"]
    modality = config["fusion"].get("modality")
    return {
        "row": row if row and {"table", "input", "weights"} <= row.keys() else None,
        "dataset": choices["dataset"],
        "input": modality if modality in ("s1", "s2") else "s1+s2",
        "bands": dataset["bands"],
        "fusion": choices["fusion"],
        "backbone": backbone["encoder"],
        "decoder": backbone["decoder"],
        "freeze": backbone["freeze"],
        "freeze_epochs": backbone["freeze_epochs"],
        "train_samples": dataset["train_samples"],
        "seed": config["seed"],
        "epochs": config["trainer"]["epochs"],
        "config_hash": config_hash(config),
    }


def read_results(path: Path) -> Results:
    """Reads a `results.json`.

    Raises:
        NotPlainError: It is damaged or of another version; the message is the reason alone.
        OSError: It cannot be read.
    """
    return read_json_record(path, Results, FORMAT, LIMITS)
