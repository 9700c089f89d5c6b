"""Keeps generated locations in a store, so that they are made once and read like any other dataset."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from cromss.dataset.convert import convert
from cromss.dataset.exact import ExactLabels
from cromss.dataset.store import Store, open_store
from cromss.io.own_files import open_own
from cromss.io.user_paths import expanded
from cromss.synthetic.reader import SyntheticReader

log = logging.getLogger(__name__)


def open_synthetic(
    cache: str | Path,
    locations: int,
    seed: int,
    size: int,
    seasons: int,
    noise: float,
    scene: Mapping[str, Any],
    noise_rates: Mapping[str, Any],
) -> Store:
    """Opens the embedded dataset, and generates it first where the cache does not hold it.

    Args:
        cache: Folder of the cache; each set of parameters has a store of its own there.
        locations: See `SyntheticReader`, likewise all others.
        seed: Which world.
        size: Side of a patch in pixels.
        seasons: Number of seasons T.
        noise: Factor on all noise rates.
        scene: Rates of the landscape.
        noise_rates: Rates of the label errors.

    Returns:
        A store of quantised images, noisy labels and truth.

    Raises:
        ValueError: A parameter is out of range, or what the cache holds is damaged.
        OSError: The cache cannot be written.
    """
    parameters = {
        "locations": locations,
        "seed": seed,
        "size": size,
        "seasons": seasons,
        "noise": noise,
        "scene": _plain(scene),
        "noise_rates": _plain(noise_rates),
    }
    reader = SyntheticReader(**parameters)
    path = expanded(cache, "dataset.cache") / f"synthetic-{locations}x{size}px-{_digest(parameters)}"
    # Without the lock, which a cache that may only be read has no room for.
    if not path.exists():
        with _alone(path):
            if not path.exists():
                log.info("generating the embedded dataset, once: %s", path)
                convert(reader, path, quantised=True, compression={"labels": "zstd", "truth": "zstd"}, overwrite=False)
    try:
        return open_store(path)
    except ValueError as error:
        raise ValueError(
            f"{error}. It is the cache of the embedded dataset: remove {path}, and the next run generates it again"
        ) from error


def _digest(parameters: Mapping[str, Any]) -> str:
    """Tells datasets apart by their parameters and by the code that makes them: other code makes other pixels."""
    content = hashlib.sha256(json.dumps(parameters, sort_keys=True).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        content.update(source.read_bytes())
    return content.hexdigest()[:12]


def _plain(node: Mapping[str, Any]) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Of several processes that start at once, one generates and the others wait for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open_own(path.with_name(f".{path.name}.lock"))
    except OSError as error:
        raise OSError(
            f"the embedded dataset cannot be kept in {path.parent} ({error.strerror}): set dataset.cache=FOLDER to one "
            "that this user may write"
        ) from error
    with file as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def open_synthetic_exact(**parameters: Any) -> ExactLabels:
    """The embedded dataset with its exact labels; parameters and errors of `open_synthetic`."""
    return ExactLabels(open_synthetic(**parameters))
