"""Maps from a Web Map Service (WMS 1.1.1), through OWSLib."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlencode

import numpy as np
import requests
from numpy.typing import NDArray
from owslib.etree import ParseError
from owslib.util import Authentication, ServiceException
from owslib.wms import WebMapService
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.io import MemoryFile
from requests.auth import AuthBase

from cromss.prepare.download.retry import Network, RefusedError, is_passing_status, redact
from cromss.prepare.download.tiles import Box

Answer = TypeVar("Answer")
_FORMATS = ("image/geotiff", "image/tiff")
_MOST_BYTES = 2**29
"""Most bytes of an answer: the largest tile that may be asked for takes 400 MB in four bands."""

_MOST_VALUES = 4 * 10**8
"""Most values of all bands of a picture; the largest tile that may be asked for has 10,000 x 10,000 px."""


class _CheckedAnswers(AuthBase):
    """Raises errors for answers that OWSLib would take for content (429), without headers, or of unlimited size."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.register_hook("response", _raise_passing)
        request.register_hook("response", _bound)
        return request


class MapService:
    """One layer of a WMS.

    Args:
        network: Rate and retries of requests.
        url: Address of the service.
        layer: Name of the layer.

    Raises:
        ValueError: There is no WMS or no such layer, or it offers no TIFF.
        OSError: It cannot be reached.
    """

    def __init__(self, network: Network, url: str, layer: str) -> None:
        self._network, self._url, self._layer = network, url, layer

        def opened() -> Any:
            login = Authentication(auth_delegate=_CheckedAnswers())
            try:
                return WebMapService(url, version="1.1.1", timeout=network.timeout_seconds, auth=login)
            # Some pages are XML in which OWSLib does not find what it expects.
            except (ParseError, AttributeError) as error:
                raise RefusedError(
                    f"{redact(url)} answers, but not as a WMS ({error}): correct download.osm.url"
                ) from None

        self._service = self._ask(opened)
        if layer not in self._service.contents:
            raise ValueError(
                f"download.osm.layer={layer} does not exist: {redact(url)} has {', '.join(self._service.contents)}"
            )
        offered = self._service.getOperationByName("GetMap").formatOptions
        tiffs = [name for wanted in _FORMATS for name in offered if name.lower().startswith(wanted)]
        if not tiffs:
            raise ValueError(f"{redact(url)} offers no GeoTIFF, only {', '.join(offered)}")
        self._format = tiffs[0]

    def map(self, box: Box, height: int, width: int) -> NDArray[np.uint8]:
        """Fetches a map.

        Args:
            box: Left, bottom, right, top in EPSG:3857.
            height: Pixels.
            width: Pixels.

        Returns:
            ``(height, width, 4)``: red, green, blue and opacity, 0..255.

        Raises:
            ValueError: The service refuses, or sends no picture of this size.
            OSError: It cannot be reached.
        """
        size = (width, height)

        def fetched() -> bytes:
            content: bytes = self._service.getmap(
                layers=[self._layer], styles=[""], srs="EPSG:3857", bbox=box, size=size, format=self._format
            ).read()
            return content

        picture = read_picture(self._ask(fetched), f"the map from {redact(self._url)}")
        if picture.shape[:2] != (height, width):
            raise ValueError(f"{redact(self._url)} sent {picture.shape[:2]} pixels, not {(height, width)}")
        return picture

    def legend(self) -> NDArray[np.uint8]:
        """Fetches the picture of the legend; see `map`."""
        styles = self._service.contents[self._layer].styles.values()
        query = {"service": "WMS", "version": "1.1.1", "request": "GetLegendGraphic"}
        query |= {"layer": self._layer, "format": "image/png"}
        built = f"{self._url}{'&' if '?' in self._url else '?'}{urlencode(query)}"
        url = next((style["legend"] for style in styles if "legend" in style), built)

        def fetched() -> bytes:
            response = requests.get(url, timeout=self._network.timeout_seconds, auth=_CheckedAnswers())
            response.raise_for_status()
            return response.content

        return read_picture(self._ask(fetched), f"the legend from {redact(url)}")

    def _ask(self, request: Callable[[], Answer]) -> Answer:
        def translated() -> Answer:
            try:
                return request()
            except ServiceException as error:
                raise RefusedError(redact(f"{self._url} refuses: {str(error)[:300]}")) from None

        return self._network.ask(self._url, translated)


def read_picture(content: bytes, what: str) -> NDArray[np.uint8]:
    """Decodes a TIFF or PNG.

    Args:
        content: Its bytes.
        what: Name of the picture; the message begins with it.

    Returns:
        ``(height, width, 4)``: red, green, blue and opacity, 0..255. Palettes and greys are turned into colours.

    Raises:
        ValueError: It is no picture, or has more than 8 bits per band.
    """
    with warnings.catch_warnings():
        # Only its colours are needed: its position is known.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            # Other formats, such as VRT, may refer to files of this computer.
            driver = "PNG" if content.startswith(b"\x89PNG") else "GTiff"
            with MemoryFile(content) as memory, memory.open(driver=driver) as file:
                if file.count * file.width * file.height > _MOST_VALUES:
                    raise ValueError(
                        f"{what} has {file.count} bands of {file.width} x {file.height} px, more than {_MOST_VALUES} "
                        "values"
                    )
                bands = file.read()
                palette = file.colormap(1) if bands.shape[0] == 1 and file.colorinterp[0].name == "palette" else None
        except RasterioIOError as error:
            raise ValueError(f"{what} is no picture: it begins {content[:80]!r}") from error
    if bands.dtype != np.uint8:
        raise ValueError(f"{what} has values of {bands.dtype}: uint8 is needed")
    if palette is not None:
        return np.array([palette[value] for value in range(256)], np.uint8)[bands[0]]
    colours = bands[:3] if len(bands) >= 3 else np.repeat(bands[:1], 3, axis=0)
    opacity = bands[-1:] if len(bands) in (2, 4) else np.full_like(bands[:1], 255)
    return np.moveaxis(np.concatenate([colours, opacity]), 0, -1)


def _bound(response: requests.Response, *_: Any, **__: Any) -> None:
    """Limits the memory for an answer, before it is read, to that of the largest map."""
    stream = response.raw.stream

    def bounded(*arguments: Any, **named: Any) -> Iterator[bytes]:
        count = 0
        for chunk in stream(*arguments, **named):
            count += len(chunk)
            if count > _MOST_BYTES:
                response.close()
                raise RefusedError(f"{redact(response.url)} sends more than {_MOST_BYTES} bytes")
            yield chunk

    response.raw.stream = bounded


def _raise_passing(response: requests.Response, *_: Any, **__: Any) -> None:
    if is_passing_status(response.status_code):
        response.raise_for_status()
