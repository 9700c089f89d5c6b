"""Where a report goes: the terminal or a file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from cromss.io.atomic import write_file

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
        sys.stdout.write(text)
    else:
        write_file(out, text.encode())
        log.info("Report written to %s", out)
