"""What W&B is told of a run: names of a length that it takes, and whether there is a key for it."""

from __future__ import annotations

import hashlib
import os
from netrc import NetrcParseError, netrc
from pathlib import Path
from urllib.parse import urlparse


def has_api_key() -> bool:
    """Whether W&B finds a key where `wandb login` puts it, or in the environment; nobody is asked for one.

    Raises:
        ValueError: The file of keys is damaged.
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
    """A name of a run or group as W&B takes it, of 128 characters at most; longer ones end in a hash of the whole."""
    return name if len(name) <= 128 else f"{name[:119]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
