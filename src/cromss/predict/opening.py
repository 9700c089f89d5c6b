"""Opens the files of a scene, and makes sure that they can be mapped before any work starts."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from cromss.dataset.bands import BANDS, select_bands
from cromss.dataset.folder import band_names_of
from cromss.dataset.geotiff import Header, grid_difference, header_of, opened
from cromss.predict.offset import detect_offset
from cromss.predict.scene import Layer, Scene

log = logging.getLogger(__name__)

_RASTERS = (".tif", ".tiff", ".jp2")
_BAND_FILE = re.compile(r"(?:^|.*_)(B\d{1,2}A?|VV|VH)(?:_\d+m)?", re.IGNORECASE)
_PROBE, _PROBES = 64, 4
"""Pixels a side of a sample, and samples a side of the scene, that are looked at before any work starts."""

_LARGEST_SHARE = 3
"""Reflectance, as a share, hardly exceeds 2 on the brightest clouds; times 10000 no scene stays below this."""

_LOWEST_DB = -100
"""Far below the noise floor of Sentinel-1: what is lower stands for a missing pixel."""


@contextmanager
def open_scene(
    paths: Mapping[str, Path], bands: Mapping[str, Sequence[int]], s2_offset: int | None, align: bool
) -> Iterator[Scene]:
    """Opens the modalities of a scene and makes sure that they can be used, before any work starts.

    Args:
        paths: Modality -> a GeoTIFF with all its bands, or a folder with a file a band, e.g. a ``.SAFE`` product.
        bands: Modality -> positions in `BANDS` of the wanted bands.
        s2_offset: Taken off S2 values; None finds out from metadata.
        align: Resamples S1 to the grid of S2 where they differ, bilinearly.

    Raises:
        ValueError: A file is absent or unreadable, a band is missing, the grids differ, an offset is not known, or
            values are of other units.
    """
    with ExitStack() as stack:
        found = {modality: _open_rasters(stack, modality, path) for modality, path in paths.items()}
        grids = {modality: _finest(rasters) for modality, rasters in found.items()}
        reference = grids["s2"] if "s2" in grids else grids["s1"]
        header = header_of(reference)
        if len(grids) > 1 and (difference := grid_difference(header_of(grids["s1"]), header)):
            _check_overlap(header_of(grids["s1"]), header, paths, difference, align)
        layers = []
        for modality, rasters in found.items():
            on_grid = [(_on_grid(stack, raster, header), names) for raster, names in rasters]
            offset = _offset(paths[modality], rasters, s2_offset) if modality == "s2" else 0
            layers.append(_layer(modality, on_grid, bands[modality], offset, paths[modality]))
        scene = Scene(layers, header)
        _check_units(scene, paths)
        yield scene


Raster = tuple[Any, tuple[str, ...]]
"""An opened raster and the names of its bands."""


def _open_rasters(stack: ExitStack, modality: str, path: Path) -> list[Raster]:
    if path.is_dir():
        return _open_folder(stack, modality, path)
    source = stack.enter_context(opened(path))
    names = band_names_of(modality, header_of(source))
    if not names:
        known = [band.name for band in BANDS[modality]]
        raise ValueError(
            f"{path} has {source.count} bands described as {source.descriptions}: {modality} has {len(known)} "
            f"({' '.join(known)}); a selection of them, or another order, has to carry these names as band descriptions"
        )
    return [(source, names)]


def _open_folder(stack: ExitStack, modality: str, path: Path) -> list[Raster]:
    """A file a band, also deep in a product; of a band at several resolutions the finest."""
    known = [band.name for band in BANDS[modality]]
    finest: dict[str, Any] = {}
    for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in _RASTERS):
        told = _BAND_FILE.fullmatch(file.stem)
        name = re.sub("^B0", "B", told[1].upper()) if told else ""
        if name not in known or "QI_DATA" in file.parts:
            continue
        source = stack.enter_context(opened(file))
        if source.count != 1:
            raise ValueError(f"{file} has {source.count} bands: in a folder every band has a file of its own")
        if name not in finest or abs(source.transform.a) < abs(finest[name].transform.a):
            finest[name] = source
    if not finest:
        raise ValueError(
            f"{path} holds no bands of {modality}: files named after {' '.join(known)} are needed, e.g. {known[0]}.tif "
            "or T32TPS_20230101T103421_B02.jp2"
        )
    return [(source, (name,)) for name, source in finest.items()]


def _finest(rasters: Sequence[Raster]) -> Any:
    return min((source for source, _ in rasters), key=lambda source: abs(source.transform.a))


def _on_grid(stack: ExitStack, source: Any, header: Header) -> Any:
    """The raster itself, or a view of it on another grid, bilinear."""
    own = header_of(source)
    if not grid_difference(own, header):
        return source
    if source.crs is None:
        raise ValueError(
            f"{source.name} has no CRS and {own.size} px where {header.size} px are needed: bring all files to one grid"
        )
    is_float = np.dtype(own.dtype).kind == "f"
    return stack.enter_context(
        WarpedVRT(
            source,
            crs=header.crs,
            transform=rasterio.Affine(*header.transform),
            height=header.size[0],
            width=header.size[1],
            resampling=Resampling.bilinear,
            nodata=np.nan if is_float else source.nodata,
            src_nodata=source.nodata,
        )
    )


def _layer(modality: str, rasters: Sequence[Raster], bands: Sequence[int], offset: int, path: Path) -> Layer:
    wanted = [band.name for band in select_bands(modality, bands)]
    there = {name: (source, number + 1) for source, names in rasters for number, name in enumerate(names)}
    if missing := [name for name in wanted if name not in there]:
        raise ValueError(
            f"{path} lacks {', '.join(missing)}, which the network sees; it holds {', '.join(there)}: give a scene "
            "with all of them, or a network that was trained without"
        )
    sources: dict[int, tuple[Any, list[int], list[int]]] = {}
    for position, name in enumerate(wanted):
        source, number = there[name]
        _, numbers, positions = sources.setdefault(id(source), (source, [], []))
        numbers.append(number)
        positions.append(position)
    return Layer(modality, tuple(bands), tuple(sources.values()), offset)


def _offset(path: Path, rasters: Sequence[Raster], s2_offset: int | None) -> int:
    quantised = all(source.dtypes[0] == "uint8" for source, _ in rasters)
    if s2_offset is not None:
        if quantised and s2_offset:
            raise ValueError(f"s2_offset={s2_offset} is meant for raw units and {path} is uint8: say s2_offset=0")
        return s2_offset
    if quantised:
        return 0
    tags = {name: value for source, _ in rasters for name, value in source.tags().items()}
    told = detect_offset(path, tags)
    if told is None:
        raise ValueError(
            f"{path} does not say whether its values carry the offset of +1000 of Sentinel-2 products since 2022 "
            "(processing baseline 04.00): say s2_offset=1000 if they do, s2_offset=0 if not"
        )
    log.info("S2 values carry an offset of %+d, as %s says", *told)
    return told[0]


def _check_overlap(s1: Header, s2: Header, paths: Mapping[str, Path], difference: str, align: bool) -> None:
    """Says by how much two grids differ, unless S1 can be and is to be resampled."""
    where = f"{paths['s1']} and {paths['s2']}"
    if "none" in (s1.crs, s2.crs):
        raise ValueError(f"{where} differ in {difference}, and without a CRS nobody knows where they lie: align them")
    bounds = [rasterio.transform.array_bounds(*h.size, rasterio.Affine(*h.transform)) for h in (s1, s2)]
    inside = transform_bounds(s1.crs, s2.crs, *bounds[0])
    left, bottom, right, top = (
        pick(pair) for pick, pair in zip((max, max, min, min), zip(inside, bounds[1], strict=True), strict=True)
    )
    if left >= right or bottom >= top:
        raise ValueError(
            f"{where} do not overlap: S1 covers {_rounded(inside)} and S2 {_rounded(bounds[1])} (left, bottom, right, "
            f"top in {s2.crs}): give scenes of one place"
        )
    if not align:
        share = (right - left) * (top - bottom) / ((bounds[1][2] - bounds[1][0]) * (bounds[1][3] - bounds[1][1]))
        pixel = abs(s2.transform[0])
        shift = f"S1 begins {(inside[0] - bounds[1][0]) / pixel:+.2f} px across and "
        shift += f"{(bounds[1][3] - inside[3]) / pixel:+.2f} px down from S2, and covers {share:.0%} of it"
        raise ValueError(
            f"{where} differ in {difference}. {shift}: say align=true to resample S1 to the grid of S2, or bring them "
            "to one grid"
        )


def _rounded(bounds: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.9g}" for value in bounds) + ")"


def _check_units(scene: Scene, paths: Mapping[str, Path]) -> None:
    """Looks at pixels here and there for values that are no dB, or no reflectance x 10000."""
    height, width = scene.size
    for layer in scene.layers:
        values = []
        for down in np.linspace(0, 1, _PROBES):
            for across in np.linspace(0, 1, _PROBES):
                top, left = round(down * max(0, height - _PROBE)), round(across * max(0, width - _PROBE))
                image, known = layer.read(Window(left, top, min(_PROBE, width), min(_PROBE, height)))
                values.append(image[:, known])
        pixels, path = np.concatenate(values, axis=1), paths[layer.modality]
        if layer.quantised or not pixels.size:
            continue
        low, high = float(pixels.min()), float(pixels.max())
        if layer.modality == "s1" and (low >= 0 or low < _LOWEST_DB):
            raise ValueError(
                f"{path} holds values from {low:g} to {high:g}: S1 has to be in dB, mostly -30 to 5; take 10 log10 of "
                "linear values, and declare the value of missing pixels as the file's nodata"
            )
        if layer.modality == "s2" and high <= _LARGEST_SHARE:
            raise ValueError(f"{path} holds values up to {high:g}: S2 has to be reflectance x 10000; multiply it")
