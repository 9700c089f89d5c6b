"""Opens the files of a scene, and makes sure that they can be mapped before any work starts."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from cromss.dataset.bands import BANDS, select_bands
from cromss.dataset.folder import band_names_of
from cromss.dataset.geotiff import NAMED_BY_USER, RASTERS, grid_difference, header_of, opened
from cromss.dataset.imagery.offset import LARGEST_OFFSET, detect_offset
from cromss.predict.grids import check_overlap, on_grid
from cromss.predict.scene import Layer, Scene, alpha_bands

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
    """Opens the modalities of a scene and makes sure that they lie together; `check_units` looks at the values.

    Args:
        paths: Modality -> a GeoTIFF with all its bands, or a folder with a file a band, e.g. a ``.SAFE`` product.
        bands: Modality -> positions in `BANDS` of the wanted bands.
        s2_offset: Taken off S2 values; None finds out from metadata.
        align: Resamples S1 to the grid of S2 where they differ, bilinearly.

    Raises:
        ValueError: A file is absent or unreadable, a band is missing, the grids differ, or an offset is not known.
    """
    with ExitStack() as stack:
        found = {modality: _open_rasters(stack, modality, path) for modality, path in paths.items()}
        grids = {modality: _finest(rasters) for modality, rasters in found.items()}
        reference = grids["s2"] if "s2" in grids else grids["s1"]
        header = header_of(reference)
        if len(grids) > 1 and (difference := grid_difference(header_of(grids["s1"]), header)):
            check_overlap(header_of(grids["s1"]), header, paths, difference, align)
        layers = []
        for modality, rasters in found.items():
            placed = [(on_grid(stack, raster, header), names) for raster, names in rasters]
            offset = _offset(paths[modality], rasters, s2_offset) if modality == "s2" else 0
            layers.append(_layer(modality, placed, bands[modality], offset, paths[modality]))
        files = [Path(file) for rasters in found.values() for source, _ in rasters for file in source.files]
        yield Scene(layers, header, files)


Raster = tuple[Any, tuple[str, ...]]
"""An opened raster and the names of its bands."""


def _open_rasters(stack: ExitStack, modality: str, path: Path) -> list[Raster]:
    if path.is_dir():
        return _open_folder(stack, modality, path)
    source = stack.enter_context(opened(path, NAMED_BY_USER))
    _check_type(modality, source)
    header = header_of(source)
    masks = alpha_bands(source)
    told = tuple(name for number, name in enumerate(header.names) if number not in masks)
    names = list(band_names_of(modality, header._replace(bands=len(told), names=told)))
    if not names:
        known = [band.name for band in BANDS[modality]]
        raise ValueError(
            f"{path} has {source.count} bands described as {source.descriptions}: {modality} has {len(known)} "
            f"({' '.join(known)}); a selection of them, or another order, has to carry these names as band descriptions"
        )
    return [(source, tuple("alpha" if number in masks else names.pop(0) for number in range(source.count)))]


def _check_type(modality: str, source: Any) -> None:
    # Complex values are no backscatter yet, and reflectance x 10000 does not fit into int8.
    for name in source.dtypes:
        if np.dtype(name).kind not in "uif" or (modality == "s2" and name == "int8"):
            raise ValueError(
                f"{source.name} holds {name}: {modality} has to be integers or floats that are not complex"
            )


def _open_folder(stack: ExitStack, modality: str, path: Path) -> list[Raster]:
    """A file a band, also deep in a product; of a band at several resolutions the finest."""
    known = [band.name for band in BANDS[modality]]
    finest: dict[str, list[Any]] = {}
    for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in _RASTERS):
        told = _BAND_FILE.fullmatch(file.stem)
        name = re.sub("^B0", "B", told[1].upper()) if told else ""
        if name not in known or "QI_DATA" in file.parts:
            continue
        source = stack.enter_context(opened(file, RASTERS))
        _check_type(modality, source)
        if source.count != 1:
            raise ValueError(f"{file} has {source.count} bands: in a folder every band has a file of its own")
        pixels = [abs(one.transform.a) for one in (source, *finest.get(name, [])[:1])]
        if pixels[0] < pixels[-1]:
            finest[name] = []
        if pixels[0] <= pixels[-1]:
            finest.setdefault(name, []).append(source)
    if not finest:
        raise ValueError(
            f"{path} holds no bands of {modality}: files named after {' '.join(known)} are needed, e.g. {known[0]}.tif "
            "or T32TPS_20230101T103421_B02.jp2"
        )
    for name, (first, *others) in finest.items():
        if others:
            raise ValueError(
                f"{path} holds {name} several times, e.g. in {first.name} and {others[0].name}: give the folder of one "
                "product and date"
            )
    return [(sources[0], (name,)) for name, sources in finest.items()]


def _finest(rasters: Sequence[Raster]) -> Any:
    return min((source for source, _ in rasters), key=lambda source: abs(source.transform.a))


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
    found = dict.fromkeys(detect_offset(path, source.tags()) for source, _ in rasters)
    if len(offsets := {told and told[0] for told in found}) > 1:
        raise ValueError(
            f"the files of {path} tell of different offsets ({', '.join(map(str, offsets))}): bring them to one and "
            "say s2_offset=…"
        )
    told = next(iter(found))
    if told is None:
        raise ValueError(
            f"{path} does not say whether its values carry the offset of +1000 of Sentinel-2 products since 2022 "
            "(processing baseline 04.00): say s2_offset=1000 if they do, s2_offset=0 if not"
        )
    if not 0 <= told[0] <= LARGEST_OFFSET:
        raise ValueError(f"{path}: {told[1]} is no offset in [0, {LARGEST_OFFSET}]: say s2_offset=0 or 1000")
    log.info("S2 values carry an offset of %+d, as %s says", *told)
    return told[0]


def check_units(scene: Scene, paths: Mapping[str, Path]) -> None:
    """Looks at pixels here and there; ValueError where they are no dB, or no reflectance x 10000."""
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
