"""Sentinel-1 and -2 images of tiles from Google Earth Engine.

Source of the rules: how the downstream tiles of CromSS were fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cromss.prepare.download.each import NoImageError
from cromss.prepare.download.geotiff import save_tile
from cromss.prepare.download.tiles import Box, Tile

Filter = tuple[str, str, Any]


@dataclass(frozen=True)
class Image:
    """An image that Earth Engine has: its id, its day, and the CRS of its band that was asked about."""

    id: str
    date: date
    crs: str


class Client(Protocol):
    """All that is asked of Earth Engine."""

    def images(
        self, collection: str, box: Box, crs: str, start: date, end: date, filters: Sequence[Filter], band: str
    ) -> list[Image]:
        """Lists images, the earliest first.

        Args:
            collection: Its id.
            box: Left, bottom, right, top, which an image has to touch.
            crs: Of the box.
            start: First day.
            end: The day after the last one.
            filters: Comparison (a name in ``ee.Filter``), property, value.
            band: Whose CRS is told.
        """
        ...

    def pixels(self, image_id: str, bands: Sequence[str], tile: Tile, dtype: str) -> NDArray:
        """An image on a tile's grid, bilinear, 0 where it has no data: ``(bands, height, width)`` of a type."""
        ...


@dataclass(frozen=True)
class Sensor:
    """What is asked for.

    Attributes:
        collection: Id of the collection.
        bands: In the order they are stored in.
        dtype: They are stored as.
        crs_band: Whose CRS counts as the image's.
        filters: See `Client.images`.
        needs_crs: Whether an image has to have the tile's CRS; otherwise one that has it is preferred.
        distinct_values: With fewer, over all bands together, an image counts as one without content.
    """

    collection: str
    bands: tuple[str, ...]
    dtype: str
    crs_band: str
    filters: tuple[Filter, ...]
    needs_crs: bool
    distinct_values: int


def sentinel1() -> Sensor:
    """Sentinel-1 ground range detected, wide swath, dB."""
    bands = ("VV", "VH")
    polarised = tuple(("listContains", "transmitterReceiverPolarisation", band) for band in bands)
    filters = (("eq", "instrumentMode", "IW"), *polarised)
    return Sensor("COPERNICUS/S1_GRD", bands, "float32", "VV", filters, needs_crs=False, distinct_values=2 * 9)


def sentinel2(cloud: float) -> Sensor:
    """Sentinel-2 L1C, reflectance x 10000, of images with less than `cloud` percent of clouds."""
    bands = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")
    filters = (("lt", "CLOUDY_PIXEL_PERCENTAGE", cloud),)
    return Sensor("COPERNICUS/S2", bands, "uint16", "B2", filters, needs_crs=True, distinct_values=13 * 9)


def fetch_image(client: Client, sensor: Sensor, days: int, tile: Tile, target: Path) -> str:
    """Saves the image of a tile as a GeoTIFF on the tile's grid.

    Args:
        client: Earth Engine.
        sensor: What is asked for.
        days: From the tile's date on images are looked for; where there is none, as many days before it.
        tile: Where and when.
        target: File to write.

    Returns:
        The id of the image.

    Raises:
        NoImageError: There is none in these days, or it has hardly any content.
        ValueError: Earth Engine refuses, or sends another shape.
        OSError: It cannot be reached, or the file cannot be written.
    """
    image = _choose(client, sensor, tile, days)
    pixels = client.pixels(image.id, sensor.bands, tile, sensor.dtype)
    expected = (len(sensor.bands), tile.height, tile.width)
    if pixels.shape != expected or pixels.dtype != sensor.dtype:
        raise ValueError(f"{image.id} came as {pixels.dtype} {pixels.shape}, not as {sensor.dtype} {expected}")
    if (found := len(np.unique(pixels))) < sensor.distinct_values:
        raise NoImageError(f"{image.id} has {found} distinct values, {sensor.distinct_values} are needed")
    save_tile(target, pixels, tile, sensor.bands)
    return image.id


def _choose(client: Client, sensor: Sensor, tile: Tile, days: int) -> Image:
    window = timedelta(days=days)
    seen = 0
    for start in (tile.date, tile.date - window):
        images = client.images(
            sensor.collection, tile.bounds, tile.crs, start, start + window, sensor.filters, sensor.crs_band
        )
        seen += len(images)
        matching = [image for image in images if image.crs == tile.crs]
        if candidates := matching or ([] if sensor.needs_crs else images):
            return candidates[0]
    others = f", {seen} in another CRS than {tile.crs}" if seen else ""
    raise NoImageError(f"no image of {sensor.collection} within {days} days of {tile.date}{others}")
