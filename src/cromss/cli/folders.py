"""Creates the folder of a run or sweep before Hydra does, and removes it where the start fails."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from cromss.io.own_files import LinkError
from cromss.runs.names import DECISION, LOCK, RECORD, SUBMITTING, SWEEP_CONFIG, check_no_links

_BEFORE_THE_BEGINNING = {LOCK, DECISION, RECORD, SUBMITTING, SWEEP_CONFIG}
"""Files that are written before it is known that a run or sweep starts."""

_created: list[Path] = []
"""Folders that this process created, parents first."""


class WritableFolder(Callback):
    """Ends the program with one sentence where a run's or a sweep's folder cannot be created or written."""

    def on_run_start(self, config: Any, **kwargs: Any) -> None:
        """Checks the folder of a run."""
        _check(config, "hydra.run.dir")

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        """Checks the folder of a sweep."""
        _check(config, "hydra.sweep.dir")


def _check(config: Any, key: str) -> None:
    try:
        folder = Path(str(OmegaConf.select(config, key)))
    except OmegaConfBaseException:
        return  # Hydra reports what is wrong when it creates the folder
    try:
        make_folder(folder)
        check_no_links(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"anything")
    except LinkError as error:
        raise SystemExit(str(error)) from error
    except OSError as error:
        # Hydra would turn an error in a callback into a warning and continue.
        raise SystemExit(
            f"{folder} cannot be written ({error.strerror}): free space, start from a folder that can be written, or "
            f"set {key}=FOLDER"
        ) from error


def make_folder(folder: Path) -> None:
    """Creates a folder and its parents, for `remove_folders_on_failure`; OSError where that cannot be."""
    for path in reversed([folder, *folder.parents]):
        if path.is_dir():
            continue
        # Another process may have created it in the meantime: then this one must not remove it.
        with suppress(FileExistsError):
            path.mkdir()
            _created.append(path.absolute())
    folder.mkdir(exist_ok=True)


@contextmanager
def remove_folders_on_failure() -> Iterator[None]:
    """Removes the folders that `make_folder` created if the run or sweep ends before it has begun.

    A run has begun once its settings are saved, a sweep once its runs are listed. Files of other
    programs, and folders that existed before, stay.
    """
    try:
        yield
    except BaseException:
        for folder in reversed(_created):
            with suppress(OSError):
                entries = list(folder.iterdir())
                if all(entry.name in _BEFORE_THE_BEGINNING or entry.suffix == ".log" for entry in entries):
                    for entry in entries:
                        entry.unlink()
                    folder.rmdir()
        raise
    finally:
        _created.clear()
