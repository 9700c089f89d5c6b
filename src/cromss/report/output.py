"""Where a report goes: the terminal or a file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from cromss.atomic import write_file

log = logging.getLogger(__name__)


def check_target(out: Path | None, overwrite: bool) -> None:
    """Looks whether a file may be written, before any work.

    Args:
        out: The file; None for the terminal.
        overwrite: Replaces an existing file.

    Raises:
        ValueError: It exists, or its folder does not.
    """
    if out is None:
        return
    if out.is_dir():
        raise ValueError(f"out={out} is a folder: name a file in it")
    if out.exists() and not overwrite:
        raise ValueError(f"{out} exists: choose another out=…, or say overwrite=true to replace it")
    if not out.parent.is_dir():
        raise ValueError(f"out={out}: there is no folder {out.parent}: make it, or choose another")


def deliver(text: str, out: Path | None) -> None:
    """Shows a text or writes it to a file.

    Args:
        text: All of it.
        out: The file; None for the terminal.

    Raises:
        OSError: The file cannot be written.
    """
    if out is None:
        sys.stdout.write(text)
    else:
        write_file(out, text.encode())
        log.info("Report written to %s", out)
