"""Log lines that show no credentials and steer no terminal, in files that are never somebody else's."""

from __future__ import annotations

import logging
from io import TextIOWrapper
from pathlib import Path

from cromss.io.own_files import open_own
from cromss.io.plain import printable
from cromss.io.redact import redact


class SafeFormatter(logging.Formatter):
    """Formats a record, hides credentials of addresses, and spells out control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record, with those of its stack trace."""
        return printable(redact(super().format(record)), keep="\n\t")


class OwnFileHandler(logging.FileHandler):
    """Appends to a file that is no link."""

    def _open(self) -> TextIOWrapper:
        return open_own(Path(self.baseFilename))
