"""The edge to the package earthengine-api: nothing else here knows it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from cromss.prepare.download.earth_engine import Filter, Image
from cromss.prepare.download.retry import Network, PassingError, RefusedError, is_passing_status, redact
from cromss.prepare.download.tiles import Box, Tile

Answer = TypeVar("Answer")
_MOST_IMAGES = 200


class EarthEngine:
    """Google Earth Engine, with the credentials that ``earthengine authenticate`` stored.

    Args:
        network: How it is asked.
        project: Google Cloud project that is registered for Earth Engine; None for the one of the credentials.
        url: Where it is reached.

    Raises:
        ValueError: The package is not installed, or the credentials are missing or refused.
        OSError: It cannot be reached.
    """

    def __init__(self, network: Network, project: str | None, url: str) -> None:
        try:
            self._ee = importlib.import_module("ee")
            self._auth_errors = importlib.import_module("google.auth.exceptions")
        except ImportError as error:
            raise ValueError(
                "Earth Engine needs the package earthengine-api: pip install 'cromss[earthengine]'"
            ) from error
        self._network = network
        try:
            self._ask("Earth Engine", lambda: self._ee.Initialize(project=project, url=url))
        except RefusedError as error:
            raise ValueError(
                f"{error}. Say `earthengine authenticate` once, and download.dw.project=PROJECT, "
                "a Google Cloud project that is registered for Earth Engine"
            ) from None
        # How often and when to try again is said in one place, which is not the package.
        self._ee.data.setMaxRetries(0)
        self._ee.data.setDeadline(network.timeout_seconds * 1000)

    def images(
        self, collection: str, box: Box, crs: str, start: date, end: date, filters: Sequence[Filter], band: str
    ) -> list[Image]:
        """See `earth_engine.Client`."""
        ee = self._ee

        def listed() -> dict[str, Any]:
            images = (
                ee.ImageCollection(collection)
                .filterBounds(ee.Geometry.Rectangle(list(box), crs, False))
                .filterDate(start.isoformat(), end.isoformat())
            )
            for comparison, name, value in filters:
                images = images.filter(getattr(ee.Filter, comparison)(name, value))
            found: dict[str, Any] = images.sort("system:time_start").limit(_MOST_IMAGES).getInfo()
            return found

        return [_image(feature, band) for feature in self._ask(collection, listed)["features"]]

    def pixels(self, image_id: str, bands: Sequence[str], tile: Tile, dtype: str) -> NDArray:
        """See `earth_engine.Client`."""

        def computed() -> NDArray:
            # Outside its footprint, too, where `unmask` alone leaves an image masked.
            image = self._ee.Image(image_id).select(list(bands)).resample("bilinear").unmask(0, False)
            answer: NDArray = self._ee.data.computePixels(
                {
                    "expression": image.toUint16() if dtype == "uint16" else image.toFloat(),
                    "fileFormat": "NUMPY_NDARRAY",
                    "bandIds": list(bands),
                    "grid": _grid(tile),
                }
            )
            return answer

        structured = self._ask(image_id, computed)
        return np.stack([structured[band] for band in bands]).astype(dtype, copy=False)

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
                    redact(f"{what}: the credentials are refused ({error}): say `earthengine authenticate` again")
                ) from None

        return self._network.ask(what, translated)


def _image(feature: dict[str, Any], band: str) -> Image:
    crs = next((entry["crs"] for entry in feature["bands"] if entry["id"] == band), "")
    seen = datetime.fromtimestamp(feature["properties"]["system:time_start"] / 1000, UTC)
    return Image(feature["id"], seen.date(), crs)


def _grid(tile: Tile) -> dict[str, Any]:
    transform = tile.transform
    return {
        "dimensions": {"width": tile.width, "height": tile.height},
        "affineTransform": {
            "scaleX": transform.a,
            "shearX": transform.b,
            "translateX": transform.c,
            "shearY": transform.d,
            "scaleY": transform.e,
            "translateY": transform.f,
        },
        "crsCode": tile.crs,
    }
