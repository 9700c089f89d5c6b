"""Builds the callbacks and loggers of the groups `callbacks` and `logger`, and the project's own loggers."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger

from cromss.config.instantiation import instantiate

Part = TypeVar("Part")


@dataclass(frozen=True)
class RunInfo:
    """The information on a run that callbacks and loggers get.

    Attributes:
        folder: The run's folder.
        config: The resolved config.
        choices: Group -> chosen option.
    """

    folder: Path
    config: Mapping[str, Any]
    choices: Mapping[str, str]


def build_parts(group: str, settings: Mapping[str, Any], run: RunInfo, kind: type[Part]) -> list[Part]:
    """Builds the entries of a group, in their order.

    Args:
        group: ``"callbacks"`` or ``"logger"``.
        settings: Name -> settings with ``_target_``. One with ``_partial_: true`` is called with the run as well.
        run: The run.
        kind: What each entry must be; None stands for one that is switched off.

    Raises:
        ValueError: An entry is something else.
    """
    parts = []
    for name, node in settings.items():
        part = instantiate(node)
        part = part(run) if isinstance(part, functools.partial) else part
        if part is None:
            continue
        if not isinstance(part, kind):
            raise ValueError(f"{group}.{name} is a {type(part).__name__} and must be a {kind.__name__} of Lightning")
        parts.append(part)
    return parts


def csv(run: RunInfo) -> Logger:
    """Writes ``csv/metrics.csv`` in the run's folder, as Lightning does."""
    return CSVLogger(run.folder, name="csv", version="")


def tensorboard(run: RunInfo) -> Logger:
    """Writes ``tensorboard`` in the run's folder."""
    return TensorBoardLogger(run.folder, name="tensorboard", version="")


def mlflow(run: RunInfo, experiment: str, tracking_uri: str | None) -> Logger:
    """Logs a run of MLflow that is called like the run's folder.

    Args:
        run: The run.
        experiment: Name of the experiment.
        tracking_uri: Address of the server; None for that of ``MLFLOW_TRACKING_URI``, else files in ``./mlruns``.
    """
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    return MLFlowLogger(experiment, run_name=run.folder.name, tracking_uri=uri)
