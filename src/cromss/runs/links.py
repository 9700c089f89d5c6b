"""A run's folder holds no links to elsewhere, through which the run would write."""

from __future__ import annotations

from pathlib import Path

from cromss.io.own_files import LinkError
from cromss.runs.names import CHECKPOINTS, HYDRA, PANELS, PREDICTIONS


def check_no_links(folder: Path) -> None:
    """Looks at everything in the folder of a run or sweep that a program writes by a name that is known before.

    The folder itself may be a link, as may what W&B keeps below a folder of its own.

    Args:
        folder: It need not exist.

    Raises:
        LinkError: A file or folder in it is a link.
        OSError: It cannot be read.
    """
    for level in (folder, *(folder / name for name in (CHECKPOINTS, HYDRA, PANELS, PREDICTIONS))):
        if not level.is_dir():
            continue
        for entry in sorted(level.iterdir()):
            if entry.is_symlink():
                raise LinkError(entry)
