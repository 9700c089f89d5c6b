"""Opens all satellite images, and reads them in published units.

Every image is read by the same steps, so that training, stores and maps see the same values in the same file:

1. masks, alpha bands, declared nodata and fill values say which pixels are known, see `known`;
2. scale and offset tags are applied, and units become the published ones, see `units`;
3. the processing offset of S2 is subtracted, and integers become uint16, which no value falls below or exceeds;
4. unknown pixels hold the mean of their band, which is 127 in quantised values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from cromss.dataset.bands import select_named
from cromss.dataset.geotiff import GEOTIFF, Header, header_of, opened
from cromss.dataset.imagery.known import all_filled, fill_values, impossible, impossible_nodata
from cromss.dataset.imagery.offset import Offset, detect_offset, find_offset
from cromss.dataset.imagery.raster import Raster, masks_of, raster_of, read_planes
from cromss.dataset.imagery.units import AUTO, PUBLISHED, QUANTISED, check_setting, to_published, units_of_scale

_QUANTISED_MEAN = 127


@dataclass(frozen=True)
class Image:
    """One modality of one location or scene, open to be read.

    Attributes:
        path: The file or folder.
        modality: ``"s1"`` or ``"s2"``.
        rasters: The rasters of its bands.
        units: A key of `units.UNITS`: what the values are in, once scale and offset tags are applied.
        units_given: Whether the user set these units.
        offset: The offset that is subtracted from S2 values.
    """

    path: Path
    modality: str
    rasters: tuple[Raster, ...]
    units: str
    units_given: bool
    offset: Offset

    @cached_property
    def bands(self) -> tuple[str, ...]:
        """Published names of all bands, in the order of the file."""
        return tuple(name for raster in self.rasters for name in raster.names)

    @cached_property
    def header(self) -> Header:
        """The header of the raster with the finest resolution."""
        return header_of(min((raster.source for raster in self.rasters), key=lambda source: abs(source.transform.a)))

    @property
    def quantised(self) -> bool:
        """Whether the values are `cromss.dataset.quantise` output."""
        return self.units == QUANTISED

    @property
    def dtype(self) -> np.dtype:
        """Type of the values that `read` gives: uint8 where quantised, else uint16, float32 or float64."""
        if self.quantised:
            return np.dtype(np.uint8)
        stored = self._stored_dtype
        if stored == np.float64:
            return stored
        plain = stored.kind in "ui" and self.modality == "s2" and self.units == PUBLISHED["s2"] and not self._scaled
        return np.dtype(np.uint16 if plain else np.float32)

    def read(self, window: Window | None = None, bands: Sequence[str] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Reads pixels.

        Args:
            window: Which pixels; None reads all.
            bands: Published names of the wanted bands, in the wanted order; None reads all.

        Returns:
            ``(K, h, w)`` of `dtype`, dB for S1 and reflectance x 10000 for S2 unless `quantised`, and bool ``(h, w)``,
            True where all of it is known; other pixels hold the mean of their band.

        Raises:
            ValueError: A band is missing, or the file is damaged.
        """
        names = self.bands if bands is None else tuple(bands)
        image, known = self.read_stored(names, window)
        if not self.quantised:
            image = to_published(image, self.units)
            known &= ~impossible(self.modality, image)
        if image.dtype.kind == "f" and not known.all():
            image[:, ~known] = 0
        if self.offset.value:
            image = np.maximum(image, self.offset.value) - image.dtype.type(self.offset.value)
        if self.dtype == np.uint16 and image.dtype != np.uint16:
            image = image.clip(0, np.iinfo(np.uint16).max)
        image = image.astype(self.dtype, copy=False)
        if not known.all():
            for plane, band in zip(image, select_named(self.modality, names), strict=True):
                plane[~known] = _QUANTISED_MEAN if self.quantised else band.mean
        return image, known

    def replaced(self, change: Callable[[Any], Any]) -> Image:
        """The same image from other sources, e.g. from views on another grid; `change` gets each opened raster."""
        rasters = []
        for raster in self.rasters:
            source = change(raster.source)
            changed = source is not raster.source
            rasters.append(
                replace(raster, source=source, masks=masks_of(source), resampled=True) if changed else raster
            )
        return replace(self, rasters=tuple(rasters))

    @property
    def _stored_dtype(self) -> np.dtype:
        return np.result_type(
            *(np.dtype(raster.source.dtypes[n - 1]) for raster in self.rasters for n in raster.indexes)
        )

    @property
    def _scaled(self) -> bool:
        return any(pair != (1, 0) for raster in self.rasters for pair in raster.scaling)

    @property
    def removes_offset(self) -> bool:
        """Whether an offset tag of the file already removes the processing offset."""
        return any(offset for raster in self.rasters for _, offset in raster.scaling)

    def read_stored(self, names: Sequence[str], window: Window | None) -> tuple[np.ndarray, np.ndarray]:
        """Stored values with scale and offset tags applied, and where they are known according to masks and nodata."""
        if missing := [name for name in names if name not in self.bands]:
            raise ValueError(f"{self.path} has no {', '.join(missing)}; it holds {', '.join(self.bands)}")
        first = self.rasters[0].source
        size = (first.height, first.width) if window is None else (window.height, window.width)
        image = np.empty((len(names), *size), self._stored_dtype)
        known = np.ones(size, bool)
        fills: dict[int, tuple[float, ...]] = {}
        natives = not all(raster.resampled for raster in self.rasters)
        for raster in self.rasters:
            positions = {names.index(name): n for n, name in enumerate(raster.names) if name in names}
            if not positions:
                continue
            read = read_planes(raster, [raster.indexes[n] for n in positions.values()], window, known)
            for plane, (position, n) in zip(read, positions.items(), strict=True):
                image[position] = plane
                nodata = raster.nodata[n]
                scale, offset = raster.scaling[n]
                if nodata is not None and impossible_nodata(
                    self.modality, self.quantised, nodata, _published(nodata * scale + offset, self.units)
                ):
                    known &= plane != nodata
                # Resampled bands reach a few pixels beyond what the finest ones saw.
                if not (raster.resampled and natives):
                    fills[position] = fill_values(self.modality, self.quantised, nodata)
        order = sorted(fills)
        if order:
            seen = image if len(order) == len(names) else image[order]
            known &= ~all_filled(seen, [fills[position] for position in order])
        if image.dtype.kind == "f":
            known &= np.isfinite(image).all(axis=0)
        if not self._scaled:
            return image, known
        table = {name: pair for raster in self.rasters for name, pair in zip(raster.names, raster.scaling, strict=True)}
        scales, offsets = np.array([table[name] for name in names]).T[:, :, None, None]
        return (image * scales + offsets).astype(self.dtype), known


@contextmanager
def open_image(
    path: Path,
    modality: str,
    *,
    units: str,
    s2_offset: int | None,
    unknown_offset: int | None,
    drivers: Sequence[str] = GEOTIFF,
) -> Iterator[Image]:
    """Opens the file of one modality. No pixels are read: `cromss.dataset.imagery.judge` looks at some of them.

    Args:
        path: A raster file with all its bands.
        modality: ``"s1"`` or ``"s2"``.
        units: A key of `units.UNITS` of the modality. ``"auto"`` takes uint8 for quantised, integers with a scale for
            what that makes of them, and all else for the published units.
        s2_offset: Subtracted from S2 values; None reads tags, the product's metadata and its name.
        unknown_offset: What to subtract where none of these states it; None refuses such a file.
        drivers: Formats, see `cromss.dataset.geotiff.opened`.

    Raises:
        ValueError: The file is missing, unreadable or not of the modality, or its bands, units or offset are not known.
    """
    check_setting(modality, units)
    with opened(path, drivers) as source:
        yield make_image(path, modality, [raster_of(path, modality, source)], units, s2_offset, unknown_offset)


def make_image(
    path: Path,
    modality: str,
    rasters: Sequence[Raster],
    units: str,
    s2_offset: int | None,
    unknown_offset: int | None,
) -> Image:
    """An image of opened rasters; see `open_image`."""
    check_setting(modality, units)
    stored = {raster.source.dtypes[n - 1] for raster in rasters for n in raster.indexes}
    scales = {scale for raster in rasters for scale, offset in raster.scaling if (scale, offset) != (1, 0)}
    if units == QUANTISED and (stored != {"uint8"} or scales):
        raise ValueError(f"{path} holds {' and '.join(sorted(stored))}: quantised values are uint8 without a scale")
    taken = units
    if units == AUTO:
        # Every band of one image is scaled alike, but for rounding of its own.
        scaled = units_of_scale(modality, min(scales)) if scales else PUBLISHED[modality]
        taken = QUANTISED if stored == {"uint8"} and not scales else scaled
    if modality != "s2":
        offset = Offset(0, None)
    elif any(added for raster in rasters for _, added in raster.scaling):
        if s2_offset:
            raise ValueError(f"s2_offset={s2_offset}: the offset tag of {path} is applied already; set s2_offset=0")
        offset = Offset(0, None)
    else:
        offset = _offset(path, rasters, taken == QUANTISED, s2_offset, unknown_offset)
    return Image(path, modality, tuple(rasters), taken, units != AUTO, offset)


def _offset(path: Path, rasters: Sequence[Raster], quantised: bool, given: int | None, unknown: int | None) -> Offset:
    tags = [raster.source.tags() for raster in rasters]
    if given is None and unknown is not None and all(detect_offset(path, one) is None for one in tags):
        return Offset(0 if quantised else unknown, None, assumed=True)
    return find_offset(path, tags, quantised, given)


def _published(value: float, units: str) -> float:
    return float(to_published(np.array([value], np.float64), units)[0])
