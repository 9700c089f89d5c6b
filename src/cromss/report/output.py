"""Where a report goes: the terminal or a file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from cromss.io.atomic import write_file
from cromss.io.plain import printable
from cromss.runs import names

log = logging.getLogger(__name__)


def deliver(text: str, out: Path | None) -> None:
    """Shows a text or writes it to a file.

    Args:
        text: All of it.
        out: The file; None for the terminal.

    Raises:
        OSError: The file cannot be written.
    """
    if out is None:
        sys.stdout.write(printable(text, keep="\n"))
    else:
        write_file(out, text.encode())
        log.info("Report written to %s", out)


def check_outside_runs(out: Path) -> None:
    """Makes sure that a report replaces nothing that a run or a sweep has written, by whatever alias `out` names it.

    Args:
        out: A file or folder to write; it need not exist.

    Raises:
        ValueError: It is or would be in a run's folder, or is a file of a sweep.
    """
    for path in (out.parent.resolve() / out.name, out.resolve()):
        for folder in path.parents:
            there = {name for name in (names.RECORD, *_OF_RUNS, *_OF_SWEEPS) if (folder / name).exists()}
            is_own = path.parent == folder and path.name in there
            of_run = names.RECORD in there or len(there.intersection(_OF_RUNS)) > 1
            if of_run or is_own:
                raise ValueError(
                    f"out={out} lies in {folder}, among the files of a run or sweep, which a report "
                    "must not replace: choose another location"
                )


_OF_RUNS = (names.CONFIG, names.METRICS, names.RESULTS)
_OF_SWEEPS = (names.SWEEP, names.SWEEP_CONFIG)
