"""From any reader of locations to a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from cromss.dataset.bands import BANDS
from cromss.dataset.checks import check_finite
from cromss.dataset.reader import DatasetInfo, LocationReader, ModalityInfo
from cromss.dataset.scaling import quantise
from cromss.dataset.store_writer import StoreWriter


def convert(
    reader: LocationReader, out: str | Path, quantised: bool, compression: Mapping[str, str], overwrite: bool
) -> None:
    """Writes all locations of `reader` to a store, in order, one location in memory at a time.

    Args:
        reader: What to convert.
        out: Directory of the new store.
        quantised: True stores raw units as uint8, see `cromss.dataset.quantise`; False stores values as they are.
        compression: See `StoreWriter`.
        overwrite: See `StoreWriter`.

    Raises:
        ValueError: A setting is not allowed, or a location cannot be read or stored.
        OSError: The disk is full.
    """
    conversion = Conversion(reader.info, quantised)
    with StoreWriter(out, conversion.info, compression, overwrite) as writer:
        for index in tqdm(range(len(reader)), desc=f"writing {Path(out).name}", unit="location"):
            writer.add(**conversion.read(reader, index))


class Conversion:
    """Converts locations of a source to those of a store.

    Args:
        info: Description of the source.
        quantised: True stores raw units as uint8, see `cromss.dataset.quantise`; False stores values as they are.

    Attributes:
        info: Description of the store.

    Raises:
        ValueError: Bands are to be quantised whose statistics are not known.
    """

    def __init__(self, info: DatasetInfo, quantised: bool) -> None:
        self._positions = {
            name: _positions(name, stored)
            for name, stored in info.modalities.items()
            if quantised and not stored.quantised
        }
        self.info = _stored_info(info, set(self._positions))

    def read(self, reader: LocationReader, index: int) -> dict[str, Any]:
        """One location as `StoreWriter.add` takes it.

        Raises:
            ValueError: It cannot be read, or holds what is not a number.
        """
        location_id = reader.location_id(index)
        images = {}
        for name, stored in self.info.modalities.items():
            image = np.stack([reader.read_images(index, season, name) for season in range(self.info.seasons)])
            if name in self._positions:
                # Checked first, as uint8 has no NaN.
                check_finite(f"location {location_id!r}, {name}", image, stored.bands)
                image = quantise(image, name, self._positions[name])
            images[name] = image
        truth = reader.read_truth(index) if self.info.has_truth else None
        return {"location_id": location_id, "images": images, "labels": reader.read_labels(index), "truth": truth}


def _stored_info(info: DatasetInfo, quantised: set[str]) -> DatasetInfo:
    modalities = {
        name: ModalityInfo(stored.bands, "uint8", True) if name in quantised else stored
        for name, stored in info.modalities.items()
    }
    return replace(info, modalities=modalities)


def _positions(modality: str, stored: ModalityInfo) -> list[int]:
    """The positions of the stored bands among those with known statistics."""
    known = [band.name for band in BANDS[modality]]
    if unknown := [name for name in stored.bands if name not in known]:
        raise ValueError(
            f"{modality} bands {', '.join(unknown)} have no known statistics to quantise them by: "
            f"name them {', '.join(known)}, or set quantise=false"
        )
    return [known.index(name) for name in stored.bands]
