"""Sentinel-1 and -2 images of tiles from Google Earth Engine.

Source of the rules: how the downstream tiles of CromSS were fetched.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from cromss.dataset.bands import BANDS
from cromss.io.extras import extra
from cromss.prepare.download.manifest import NoImageError
from cromss.prepare.download.retry import Network, PassingError, RefusedError, is_passing_status, redact
from cromss.prepare.download.tiles import Tile
from cromss.prepare.geotiff import write_geotiff

Answer = TypeVar("Answer")
_MOST_IMAGES = 200


class Image(NamedTuple):
    """An image on Earth Engine: its id, its day, and the CRS of the band `Sensor.crs_band`."""

    id: str
    date: date
    crs: str


@dataclass(frozen=True)
class Sensor:
    """The images of a sensor that are asked for.

    Attributes:
        collection: Id of the collection.
        bands: Bands in the order in which they are stored.
        dtype: Type in which they are stored.
        crs_band: Band whose CRS is that of the image.
        filters: Comparison (a name in ``ee.Filter``), property, value.
        needs_crs: Whether an image must have the tile's CRS; otherwise such an image is preferred.
    """

    collection: str
    bands: tuple[str, ...]
    dtype: str
    crs_band: str
    filters: tuple[tuple[str, str, Any], ...]
    needs_crs: bool

    @property
    def distinct_values(self) -> int:
        """Fewest distinct values, over all bands together, of an image that counts as having content."""
        return 9 * len(self.bands)


def sentinel1() -> Sensor:
    """Sentinel-1 ground range detected, wide swath, dB."""
    bands = tuple(band.name for band in BANDS["s1"])
    polarised = tuple(("listContains", "transmitterReceiverPolarisation", band) for band in bands)
    filters = (("eq", "instrumentMode", "IW"), *polarised)
    return Sensor("COPERNICUS/S1_GRD", bands, "float32", "VV", filters, needs_crs=False)


def sentinel2(cloud: float) -> Sensor:
    """Sentinel-2 L1C, reflectance x 10000, of images with less than `cloud` percent of clouds."""
    bands = tuple(band.name for band in BANDS["s2"])
    return Sensor("COPERNICUS/S2", bands, "uint16", "B2", (("lt", "CLOUDY_PIXEL_PERCENTAGE", cloud),), needs_crs=True)


class EarthEngine:
    """Google Earth Engine, with the credentials that ``earthengine authenticate`` stored.

    Args:
        network: Rate and retries of requests.
        project: Google Cloud project that is registered for Earth Engine; None for the one of the credentials.
        url: Its address.

    Raises:
        ValueError: The package is not installed, or the credentials are missing or refused.
        OSError: It cannot be reached.
    """

    def __init__(self, network: Network, project: str | None, url: str) -> None:
        with extra("download", "source=dw"):
            self._ee = importlib.import_module("ee")
            self._auth_errors = importlib.import_module("google.auth.exceptions")
        self._network = network
        try:
            self._ask("Earth Engine", lambda: self._ee.Initialize(project=project, url=url))
        except RefusedError as error:
            raise ValueError(
                f"{error}. Run `earthengine authenticate` once, and set download.dw.project=PROJECT, "
                "a Google Cloud project that is registered for Earth Engine"
            ) from None
        # `Network` decides on retries, not the package.
        self._ee.data.setMaxRetries(0)
        self._ee.data.setDeadline(network.timeout_seconds * 1000)

    def images(self, sensor: Sensor, tile: Tile, start: date, end: date) -> list[Image]:
        """Lists images that touch a tile, the earliest first.

        Args:
            sensor: Which images.
            tile: The area.
            start: First day.
            end: The day after the last one.
        """
        ee = self._ee

        def listed() -> dict[str, Any]:
            images = (
                ee.ImageCollection(sensor.collection)
                .filterBounds(ee.Geometry.Rectangle(list(tile.bounds), tile.crs, False))
                .filterDate(start.isoformat(), end.isoformat())
            )
            for comparison, name, value in sensor.filters:
                images = images.filter(getattr(ee.Filter, comparison)(name, value))
            found: dict[str, Any] = images.sort("system:time_start").limit(_MOST_IMAGES).getInfo()
            return found

        return [_image(feature, sensor.crs_band) for feature in self._ask(sensor.collection, listed)["features"]]

    def pixels(self, image_id: str, sensor: Sensor, tile: Tile) -> NDArray:
        """An image on a tile's grid, bilinear, 0 where it has no data: ``(bands, height, width)`` of its type."""
        bands = list(sensor.bands)

        def computed() -> NDArray:
            # `unmask` alone leaves an image masked outside of its footprint.
            image = self._ee.Image(image_id).select(bands).resample("bilinear").unmask(0, False)
            answer: NDArray = self._ee.data.computePixels(
                {
                    "expression": image.toUint16() if sensor.dtype == "uint16" else image.toFloat(),
                    "fileFormat": "NUMPY_NDARRAY",
                    "bandIds": bands,
                    "grid": _grid(tile),
                }
            )
            return answer

        structured = self._ask(image_id, computed)
        return np.stack([structured[band] for band in bands]).astype(sensor.dtype, copy=False)

    def _ask(self, what: str, request: Callable[[], Answer]) -> Answer:
        def translated() -> Answer:
            try:
                return request()
            except self._ee.EEException as error:
                # The package drops the HTTP status, but what it raises comes out of the error that has it.
                status = getattr(getattr(error.__context__, "resp", None), "status", 0)
                if is_passing_status(int(status)):
                    raise PassingError(str(error)) from None
                raise RefusedError(redact(f"{what}: {error}")) from None
            except self._auth_errors.TransportError as error:
                raise PassingError(str(error)) from None
            except self._auth_errors.GoogleAuthError as error:
                raise RefusedError(
                    redact(f"{what}: the credentials are refused ({error}): run `earthengine authenticate` again")
                ) from None

        return self._network.ask(what, translated)


def fetch_image(client: EarthEngine, sensor: Sensor, days: int, tile: Tile, target: Path) -> str:
    """Saves the image of a tile as a GeoTIFF on the tile's grid.

    Args:
        client: Earth Engine.
        sensor: Which images.
        days: Days after the tile's date in which images are searched; where there is none, as many before.
        tile: Area and date.
        target: File to write.

    Returns:
        The id of the image.

    Raises:
        NoImageError: There is none in these days, or it has almost no content.
        ValueError: Earth Engine refuses, or sends another shape.
        OSError: It cannot be reached, or the file cannot be written.
    """
    image = _choose(client, sensor, tile, days)
    pixels = client.pixels(image.id, sensor, tile)
    expected = (len(sensor.bands), tile.height, tile.width)
    if pixels.shape != expected or pixels.dtype != sensor.dtype:
        raise ValueError(f"{image.id} came as {pixels.dtype} {pixels.shape}, not as {sensor.dtype} {expected}")
    if (found := len(np.unique(pixels))) < sensor.distinct_values:
        raise NoImageError(f"{image.id} has {found} distinct values, {sensor.distinct_values} are needed")
    write_geotiff(target, pixels, tile.crs, tile.transform, sensor.bands)
    return image.id


def _choose(client: EarthEngine, sensor: Sensor, tile: Tile, days: int) -> Image:
    window = timedelta(days=days)
    seen = 0
    for start in (tile.date, tile.date - window):
        images = client.images(sensor, tile, start, start + window)
        seen += len(images)
        matching = [image for image in images if image.crs == tile.crs]
        if candidates := matching or ([] if sensor.needs_crs else images):
            return candidates[0]
    others = f", {seen} in another CRS than {tile.crs}" if seen else ""
    raise NoImageError(f"no image of {sensor.collection} within {days} days of {tile.date}{others}")


def _image(feature: dict[str, Any], band: str) -> Image:
    crs = next((entry["crs"] for entry in feature["bands"] if entry["id"] == band), "")
    seen = datetime.fromtimestamp(feature["properties"]["system:time_start"] / 1000, UTC)
    return Image(feature["id"], seen.date(), crs)


def _grid(tile: Tile) -> dict[str, Any]:
    names = ("scaleX", "shearX", "translateX", "shearY", "scaleY", "translateY")
    return {
        "dimensions": {"width": tile.width, "height": tile.height},
        "affineTransform": dict(zip(names, tuple(tile.transform)[:6], strict=True)),
        "crsCode": tile.crs,
    }
