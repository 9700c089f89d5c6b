"""Names of runs that are short enough for W&B, and whether there is an API key for it."""

from __future__ import annotations

import hashlib
import os
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlparse


def has_api_key() -> bool:
    """Whether there is an API key where `wandb login` stores it, or in the environment; the user is not asked for one.

    Raises:
        ValueError: The netrc file is damaged.
    """
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    try:
        return path.is_file() and netrc(path).authenticators(str(host)) is not None
    except NetrcParseError as error:
        raise ValueError(f"{path} cannot be read ({error}): correct it, or set trainer.wandb=offline") from error


def shortened(name: str) -> str:
    """A name of a run or group with at most 128 characters, as W&B needs; a longer one is cut and ends in a hash."""
    return name if len(name) <= 128 else f"{name[:119]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
