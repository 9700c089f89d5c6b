"""Looks whether the output folder can be written, before Hydra makes it and shows a stack trace where it cannot."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cromss.io.own_files import LinkError
from cromss.runs.names import check_no_links


class WritableFolder(Callback):
    """Ends the program with one sentence where a run's or a sweep's folder cannot be made or written."""

    def on_run_start(self, config: Any, **kwargs: Any) -> None:
        """Looks at the folder of a run."""
        _check(config, "hydra.run.dir")

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        """Looks at the folder of a sweep."""
        _check(config, "hydra.sweep.dir")


def _check(config: Any, key: str) -> None:
    try:
        folder = Path(str(OmegaConf.select(config, key)))
    except OmegaConfBaseException:
        return  # Hydra tells what is wrong when it makes the folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        check_no_links(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"anything")
    except LinkError as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        # Hydra makes a warning of any error in a callback, and goes on.
        raise SystemExit(
            f"{folder} cannot be written ({error.strerror}): free space, start from a folder that can be written, or "
            f"set {key}=FOLDER"
        ) from error
