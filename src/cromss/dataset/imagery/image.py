"""The one opener of satellite images: whatever is read goes through here, and comes out in published units.

Every image is read by the same steps, so that training, stores and maps see the same values in the same file:

1. masks, alpha bands, declared nodata and fill values say which pixels are known, see `known`;
2. scale and offset tags are applied, and units become the published ones, see `units`;
3. the processing offset of S2 is taken off, and integers become uint16, which no value falls below or exceeds;
4. unknown pixels hold the mean of their band, which is 127 in quantised values.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.windows import Window

from cromss.dataset.geotiff import GEOTIFF, Header, header_of, opened
from cromss.dataset.imagery.band_names import name_bands
from cromss.dataset.imagery.known import all_filled, fill_values, impossible, impossible_nodata
from cromss.dataset.imagery.offset import Offset, check_offset, detect_offset, find_offset
from cromss.dataset.imagery.spectra import doubt_order
from cromss.dataset.imagery.units import (
    AUTO,
    PUBLISHED,
    QUANTISED,
    check_setting,
    check_units,
    known_bands,
    to_published,
    units_of_scale,
    verdict,
)

log = logging.getLogger(__name__)

_QUANTISED_MEAN = 127

_PROBE, _PROBES = 24, 4
"""Pixels on a side of a sample, and samples on a side of a large image, by which its values are judged."""

_SEARCHED, _FEWEST_STRIPS = 2**26, 4
"""Pixels that are decoded in the search for known ones, and strips of rows, spread over an image, at least."""

_LARGE = 1000
"""Pixels on a side from which an image has parts that differ."""

_ENOUGH = 64
"""Known pixels in a sample that judge an image of which no more were met."""


class Masks(NamedTuple):
    """What a raster says of its known pixels, beside nodata.

    Attributes:
        alpha: Number of a band that says which are known; None without.
        shared: Whether there is one mask for all bands.
        own: Numbers of bands with masks of their own.
    """

    alpha: int | None
    shared: bool
    own: frozenset[int]


@dataclass(frozen=True)
class Raster:
    """An opened raster, or a view of one on another grid, and its bands of one image.

    Attributes:
        source: What pixels are read from.
        indexes: Numbers of the bands in the file, from 1.
        names: Their published names.
        nodata: The nodata that the file declares for each of them.
        scaling: Scale and offset that the file declares for each of them.
        masks: What else says which pixels are known.
        extras: Descriptions of what the file holds besides bands of the modality, e.g. ``angle``.
        assumed: Whether the file names no band, so that the published order is assumed.
        resampled: Whether `source` is a view on another grid.
    """

    source: Any
    indexes: tuple[int, ...]
    names: tuple[str, ...]
    nodata: tuple[float | None, ...]
    scaling: tuple[tuple[float, float], ...]
    masks: Masks
    extras: tuple[str, ...] = ()
    assumed: bool = False
    resampled: bool = False


@dataclass(frozen=True)
class Image:
    """One modality of one location or scene, open to be read.

    Attributes:
        path: The file or folder.
        modality: ``"s1"`` or ``"s2"``.
        rasters: Where its bands lie.
        units: A key of `units.UNITS`: what the values are in, once scale and offset tags are applied.
        told: Whether the user told these units.
        offset: What is taken off S2 values.
    """

    path: Path
    modality: str
    rasters: tuple[Raster, ...]
    units: str
    told: bool
    offset: Offset

    @property
    def bands(self) -> tuple[str, ...]:
        """Published names of all bands, in the order of the file."""
        return tuple(name for raster in self.rasters for name in raster.names)

    @property
    def header(self) -> Header:
        """What the raster of the finest resolution says of itself."""
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
        image, known = self._read_stored(names, window)
        image = self._in_file_units(image, names)
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
            for plane, band in zip(image, known_bands(self.modality, names), strict=True):
                plane[~known] = _QUANTISED_MEAN if self.quantised else band.mean
        return image, known

    def judge(self, can_tell: bool = True) -> None:
        """Looks at pixels here and there, whether they are what they are taken for: units, and the offset of S2.

        Warns where the order of bands without names seems to be another one.

        Args:
            can_tell: Whether there are settings by which the user can tell units and offset, for the message.

        Raises:
            ValueError: They are not; the message names the file, what is there and the setting that helps.
        """
        values = self.sample()
        if not values.size:
            log.warning("%s: no known pixel was found in it", self.path)
            return
        bands = known_bands(self.modality, self.bands)
        found = verdict(self.modality, values, bands, self.quantised)
        try:
            check_units(self.modality, found, self.units, self.told, values, can_tell)
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}") from error
        if self.quantised:
            return
        published = to_published(values, self.units)
        if self.modality == "s2" and not self._removes_offset:
            check_offset(self.path, self.offset, self.bands, published, can_tell)
        if any(raster.assumed for raster in self.rasters) and (
            doubt := doubt_order(self.modality, published.astype(np.float64) - self.offset.value)
        ):
            log.warning(
                "%s names no bands, and the order of its values is hardly that of %s: %s. Name the bands",
                self.path,
                " ".join(self.bands),
                doubt,
            )

    def sample(self) -> np.ndarray:
        """Known pixels here and there, some 10,000: ``(K, n)``, scale and offset tags applied and nothing else."""
        height, width = self.header.size
        picked = [
            self._picked(Window(left, top, side_x, side_y)) for left, top, side_x, side_y in _probes(height, width)
        ]
        values = np.concatenate(picked, axis=1)
        if values.shape[1] < _ENOUGH:
            # What is known lies elsewhere, as in a location at the rim of a scene.
            rows = max(1, _PROBE * _PROBE * _PROBES * _PROBES // width)
            strips = range(0, height, rows)
            decoded = width * max(rows, *(raster.source.block_shapes[0][0] for raster in self.rasters))
            for top in strips[:: max(1, len(strips) // max(_FEWEST_STRIPS, _SEARCHED // decoded))]:
                values = self._picked(Window(0, top, width, min(rows, height - top)))
                if values.shape[1] >= _ENOUGH:
                    break
        return values

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
    def _removes_offset(self) -> bool:
        """Whether an offset tag of the file takes the processing offset off."""
        return any(offset for raster in self.rasters for _, offset in raster.scaling)

    def _picked(self, window: Window) -> np.ndarray:
        image, known = self._read_stored(self.bands, window)
        return self._in_file_units(image, self.bands)[:, known]

    def _in_file_units(self, image: np.ndarray, names: Sequence[str]) -> np.ndarray:
        """Stored values with scale and offset tags applied."""
        if not self._scaled:
            return image
        table = {name: pair for raster in self.rasters for name, pair in zip(raster.names, raster.scaling, strict=True)}
        scales, offsets = np.array([table[name] for name in names]).T[:, :, None, None]
        return (image * scales + offsets).astype(self.dtype)

    def _read_stored(self, names: Sequence[str], window: Window | None) -> tuple[np.ndarray, np.ndarray]:
        """Stored values and where they are known, as far as stored values tell."""
        if missing := [name for name in names if name not in self.bands]:
            raise ValueError(f"{self.path} has no {', '.join(missing)}; it holds {', '.join(self.bands)}")
        first = self.rasters[0].source
        size = (first.height, first.width) if window is None else (window.height, window.width)
        image = np.empty((len(names), *size), self._stored_dtype)
        known = np.ones(size, bool)
        fills: dict[int, tuple[float, ...]] = {}
        natives = not all(raster.resampled for raster in self.rasters)
        for raster in self.rasters:
            places = {names.index(name): n for n, name in enumerate(raster.names) if name in names}
            if not places:
                continue
            read = read_planes(raster, [raster.indexes[n] for n in places.values()], window, known)
            for plane, (position, n) in zip(read, places.items(), strict=True):
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
        return image, known


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
    """Opens the file of one modality. No pixels are read: `Image.judge` looks at some of them.

    Args:
        path: A raster file with all its bands.
        modality: ``"s1"`` or ``"s2"``.
        units: A key of `units.UNITS` of the modality. ``"auto"`` takes uint8 for quantised, integers with a scale for
            what that makes of them, and all else for the published units.
        s2_offset: Taken off S2 values; None asks tags, the product's metadata and its name.
        unknown_offset: What to take off where none of these tells; None refuses such a file.
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


def raster_of(path: Path, modality: str, source: Any, name: str | None = None) -> Raster:
    """The bands of an opened raster.

    Args:
        path: What messages call it.
        modality: ``"s1"`` or ``"s2"``.
        source: The opened raster.
        name: Published name of its only band, where its file name tells that; None reads the band descriptions.

    Raises:
        ValueError: Its type is none of the modality, or its bands cannot be told.
    """
    alphas = alpha_bands(source)
    data = [index for index in source.indexes if index not in alphas]
    # Complex values are no backscatter yet, and reflectance x 10000 does not fit into int8.
    for dtype in {source.dtypes[index - 1] for index in data}:
        if np.dtype(dtype).kind not in "uif" or (modality == "s2" and dtype == "int8"):
            raise ValueError(f"{path} holds {dtype}: {modality} has to be integers or floats that are not complex")
    if name is None:
        try:
            told = name_bands(modality, [source.descriptions[index - 1] for index in data])
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        indexes, names = tuple(data[index - 1] for index in told.indexes), told.names
        extras, assumed = told.extras, told.assumed
    else:
        if len(data) != 1:
            raise ValueError(f"{path} has {len(data)} bands: in a folder every band has a file of its own")
        indexes, names, extras, assumed = (data[0],), (name,), (), False
    declared = [_declared(path, source, index) for index in indexes]
    return Raster(
        source=source,
        indexes=indexes,
        names=names,
        nodata=tuple(nodata for nodata, _ in declared),
        scaling=tuple(scaling for _, scaling in declared),
        masks=masks_of(source),
        extras=extras,
        assumed=assumed,
    )


def read_planes(raster: Raster, indexes: Sequence[int], window: Window | None, known: np.ndarray) -> np.ndarray:
    """Reads bands of one raster by their numbers in the file; its mask and alpha band are taken into `known`."""
    source, masks = raster.source, raster.masks
    try:
        planes = source.read(list(indexes), window=window)
        if masks.alpha is not None:
            known &= source.read(masks.alpha, window=window) > 0
        elif masks.shared:
            known &= source.dataset_mask(window=window) > 0
        for index in masks.own.intersection(indexes):
            known &= source.read_masks(index, window=window) > 0
    except RasterioError as error:
        reason = error.__cause__ or error
        raise ValueError(f"{source.name} cannot be read ({reason}): it is truncated or damaged") from error
    return planes


def masks_of(source: Any) -> Masks:
    """What an opened raster says of its known pixels."""
    alphas = alpha_bands(source)
    flags = dict(zip(source.indexes, source.mask_flag_enums, strict=True))
    # GDAL takes an alpha band for a mask in files of two or four bands alone, and there a named band as well.
    shared = any(MaskFlags.per_dataset in one and MaskFlags.alpha not in one for one in flags.values())
    return Masks(alphas[0] if alphas else None, shared, frozenset(index for index, one in flags.items() if not one))


def alpha_bands(source: Any) -> list[int]:
    """Numbers of bands that say which pixels are known, as `gdalwarp -dstalpha` writes them; a named band is data."""
    told = zip(source.indexes, source.colorinterp, source.descriptions, strict=True)
    return [index for index, meaning, name in told if meaning == ColorInterp.alpha and not name]


def _declared(path: Path, source: Any, index: int) -> tuple[float | None, tuple[float, float]]:
    """Nodata, and scale and offset, of a band: those of GDAL, else those of tags as CF names them."""
    nodata, scale, offset = source.nodatavals[index - 1], source.scales[index - 1], source.offsets[index - 1]
    if nodata is not None and (scale, offset) != (1, 0):
        return nodata, _usable(path, scale, offset)
    tags = {re.sub("[^a-z]", "", name.lower()): text for name, text in {**source.tags(), **source.tags(index)}.items()}
    if (scale, offset) == (1, 0):
        scale, offset = _number(path, tags, "scalefactor", 1), _number(path, tags, "addoffset", 0)
        if scale >= 100:
            # 10000 is meant as a divisor: nobody stores values that are to grow.
            scale = 1 / scale
    if nodata is None and {"fillvalue", "missingvalue"} & set(tags):
        nodata = _number(path, tags, "fillvalue" if "fillvalue" in tags else "missingvalue", math.nan)
    return nodata, _usable(path, scale, offset)


def _number(path: Path, tags: Mapping[str, str], name: str, default: float) -> float:
    if name not in tags:
        return default
    try:
        return float(tags[name])
    except ValueError as error:
        raise ValueError(f"{path}: tag {name}={tags[name][:80]!r} is no number: remove or mend it") from error


def _usable(path: Path, scale: float, offset: float) -> tuple[float, float]:
    if not (math.isfinite(scale) and math.isfinite(offset) and scale > 0):
        raise ValueError(f"{path} declares a scale of {scale:g} and an offset of {offset:g}: remove or mend these")
    return scale, offset


def _offset(path: Path, rasters: Sequence[Raster], quantised: bool, given: int | None, unknown: int | None) -> Offset:
    tags = [raster.source.tags() for raster in rasters]
    if given is None and unknown is not None and all(detect_offset(path, one) is None for one in tags):
        return Offset(0 if quantised else unknown, None, assumed=True)
    return find_offset(path, tags, quantised, given)


def _published(value: float, units: str) -> float:
    return float(to_published(np.array([value], np.float64), units)[0])


def _probes(height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Left, top, width and height of the samples."""
    shares = np.linspace(0, 1, _PROBES)
    pairs = [(down, across) for down in shares for across in shares]
    if max(height, width) <= _LARGE:
        # Reading decodes whole blocks, so that few places cost a fraction.
        pairs = [(0.25, 0.25), (0.75, 0.75)]
    side_x, side_y = min(_PROBE, width), min(_PROBE, height)
    places = dict.fromkeys(
        (round(across * (width - side_x)), round(down * (height - side_y))) for down, across in pairs
    )
    return [(left, top, side_x, side_y) for left, top in places]
