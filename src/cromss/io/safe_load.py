"""Reads files of `torch.save` as plain data, without running code from them."""

from __future__ import annotations

import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


class UnreadableFileError(ValueError):
    """A file that is damaged, of another kind, or that would run code; the message is the reason alone."""


GARBAGE = (
    # What zipfile and torch's restricted unpickler make of arbitrary bytes, beside errors of their own.
    *(OSError, RuntimeError, EOFError, AssertionError, AttributeError, TypeError, ValueError, LookupError),
    *(ArithmeticError, MemoryError, struct.error, zlib.error, zipfile.BadZipFile, pickle.UnpicklingError),
)
"""What readers written in C or for trusted files raise where a file is damaged."""

_REFUSED = re.compile(r"GLOBAL ([\w.]+)")


def read_torch_file(path: Path, classes: Sequence[type] = (), checksums: bool = True, mapped: bool = True) -> Any:
    """Reads a file of `torch.save`, in today's format (a zip archive) or the one before torch 1.6.

    Args:
        path: An existing file.
        classes: Classes without behaviour of their own that the file may hold beside tensors and plain values.
        checksums: Whether to compare all of a zip archive with its checksums; without, only what is no weight.
        mapped: Whether tensors of a zip archive are mapped from the file and not copied. They are then read when they
            are used, until when the file has to stay as it is.

    Returns:
        What was saved; tensors on the CPU.

    Raises:
        UnreadableFileError: The file is truncated or damaged (a flipped byte in a weight shows in zip archives alone:
            the older format has no checksums), of another kind, or holds what would run code.
    """
    try:
        is_archive = zipfile.is_zipfile(path)
        if is_archive:
            _check_archive(path, checksums)
        with torch.serialization.safe_globals(list(classes)), warnings.catch_warnings():
            # A damaged byte makes it seem a file of the future; what follows is an error.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            # Checking a sparse tensor may take long; whoever expects weights refuses it.
            warnings.filterwarnings("ignore", "Validating sparse tensor invariants", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=(is_archive and mapped) or None)
    except GARBAGE as error:
        if refused := _REFUSED.search(str(error)):
            raise UnreadableFileError(
                f"loading it would run code: it calls {refused[1]}, where only tensors and plain values are read"
            ) from error
        raise UnreadableFileError((str(error) or type(error).__name__).splitlines()[0]) from error


def _check_archive(path: Path, checksums: bool) -> None:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        # Compressed zeros of a few megabytes could fill any memory.
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise zipfile.BadZipFile("it holds compressed entries, which torch does not write")
        if checksums:
            # torch does not notice a flipped byte in a weight.
            damaged = archive.testzip()
        else:
            damaged = None
            for name in names:
                if name.endswith("/data.pkl"):
                    archive.read(name)
        is_program = any(name.endswith("/constants.pkl") for name in names)
    if is_program:
        raise pickle.UnpicklingError("it is a TorchScript program: save a state_dict instead")
    if damaged is not None:
        raise zipfile.BadZipFile(f"{damaged} does not match its checksum")
