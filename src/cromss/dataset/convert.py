"""From any reader of locations to a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cromss.dataset.bands import BANDS, quantise
from cromss.dataset.checks import check_finite
from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.dataset.store_writer import StoreWriter


def convert(
    reader: LocationReader, out: str | Path, quantised: bool, compression: Mapping[str, str], overwrite: bool
) -> None:
    """Writes all locations of `reader` to a store, in order, one location in memory at a time.

    Args:
        reader: What to convert.
        out: Directory of the store to be.
        quantised: True stores raw units as uint8, see `cromss.dataset.bands.quantise`; False stores values as they are.
        compression: See `StoreWriter`.
        overwrite: See `StoreWriter`.

    Raises:
        ValueError: A setting is not allowed, or a location cannot be read or stored.
        OSError: The disk is full.
    """
    positions = {
        name: _positions(name, stored)
        for name, stored in reader.info.modalities.items()
        if quantised and not stored.quantised
    }
    info = _stored_info(reader.info, set(positions))
    with StoreWriter(out, info, compression, overwrite) as writer:
        for index in tqdm(range(len(reader)), desc=f"writing {Path(out).name}", unit="location"):
            location_id = reader.location_id(index)
            images = {}
            for name, stored in reader.info.modalities.items():
                seasons = [reader.read_images(index, season, name) for season in range(info.seasons)]
                image = np.stack(seasons)
                if name in positions:
                    # Once it is uint8 nobody can tell what was not a number.
                    check_finite(f"location {location_id!r}, {name}", image, stored.bands)
                    image = quantise(image, name, positions[name])
                images[name] = image
            truth = reader.read_truth(index) if info.has_truth else None
            writer.add(location_id, images, reader.read_labels(index), truth)


def _stored_info(info: DatasetInfo, quantised: set[str]) -> DatasetInfo:
    modalities = {
        name: ModalityInfo(stored.bands, "uint8", True) if name in quantised else stored
        for name, stored in info.modalities.items()
    }
    return replace(info, modalities=modalities)


def _positions(modality: str, stored: ModalityInfo) -> list[int]:
    """Where the stored bands stand among those whose statistics are known."""
    known = [band.name for band in BANDS[modality]]
    if unknown := [name for name in stored.bands if name not in known]:
        raise ValueError(
            f"{modality} bands {', '.join(unknown)} have no known statistics to quantise them by: "
            f"name them {', '.join(known)}, or say quantise=false"
        )
    return [known.index(name) for name in stored.bands]
