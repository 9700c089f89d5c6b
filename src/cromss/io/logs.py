"""Log lines without credentials and control characters, in files that are never links."""

from __future__ import annotations

import logging
from io import StringIO
from pathlib import Path
from typing import TextIO

from cromss.io.own_files import open_own
from cromss.io.plain import printable
from cromss.io.redact import redact


class SafeFormatter(logging.Formatter):
    """Formats a record, hides credentials in URLs, and escapes control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record, with those of its stack trace."""
        return printable(redact(super().format(record)), keep="\n\t")


class RunLogHandler(logging.StreamHandler[TextIO]):
    """Appends to a file that is named later: until it is known that a run begins, its lines are kept in memory."""

    def __init__(self) -> None:
        super().__init__(StringIO())

    def open(self, path: Path) -> None:
        """Writes the lines so far, and all later ones. Does nothing where a file is open.

        Args:
            path: The file; its folder exists.

        Raises:
            LinkError: It is a symbolic link, a pipe or a device.
            OSError: It cannot be written.
        """
        if isinstance(self.stream, StringIO):
            file = open_own(path)
            file.write(self.stream.getvalue())
            self.setStream(file)

    def close(self) -> None:
        """Closes the file; lines without one are dropped."""
        self.stream.close()
        super().close()


def open_run_log(path: Path) -> None:
    """Names the file of the log of this run, see `RunLogHandler.open`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RunLogHandler):
            handler.open(path)
