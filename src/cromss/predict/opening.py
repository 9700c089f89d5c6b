"""Opens the files of a scene, and makes sure that they can be mapped before any work starts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cromss.dataset.bands import BANDS
from cromss.dataset.geotiff import NAMED_BY_USER, RASTERS, grid_difference, opened
from cromss.dataset.imagery.band_names import band_of, band_of_file
from cromss.dataset.imagery.image import make_image
from cromss.dataset.imagery.judge import judge
from cromss.dataset.imagery.raster import Raster, raster_of
from cromss.predict.grids import check_overlap, on_grid
from cromss.predict.scene import Layer, Scene

log = logging.getLogger(__name__)

_SUFFIXES = (".tif", ".tiff", ".jp2")


@contextmanager
def open_scene(
    paths: Mapping[str, Path],
    bands: Mapping[str, Sequence[int]],
    units: Mapping[str, str],
    s2_offset: int | None,
    align: bool,
) -> Iterator[Scene]:
    """Opens the modalities of a scene and makes sure that they lie together; `check_values` looks at the values.

    Args:
        paths: Modality -> a raster with all its bands, or a folder with one file per band, e.g. a ``.SAFE`` product.
        bands: Modality -> positions in `BANDS` of the wanted bands.
        units: Modality -> a key of `cromss.dataset.imagery.units.UNITS`, or ``"auto"``.
        s2_offset: Subtracted from S2 values; None reads it from metadata.
        align: Resamples S1 to the grid of S2 where they differ, bilinearly.

    Raises:
        ValueError: A file is missing or unreadable, a band is missing, the grids differ, or units or an offset are not
            known.
    """
    with ExitStack() as stack:
        images = {
            modality: make_image(
                path, modality, _open_rasters(stack, modality, path), units[modality], s2_offset, unknown_offset=None
            )
            for modality, path in paths.items()
        }
        header = images["s2" if "s2" in images else "s1"].header
        if len(images) > 1 and (difference := grid_difference(images["s1"].header, header)):
            check_overlap(images["s1"].header, header, paths, difference, align)
        layers = []
        for modality, image in images.items():
            placed = image.replaced(partial(on_grid, stack, header=header, modality=modality))
            layers.append(Layer(placed, tuple(bands[modality])))
            if extras := [extra for raster in image.rasters for extra in raster.extras]:
                log.info("%s: %s left out, as no band of %s", paths[modality], ", ".join(extras), modality)
            if image.offset.source is not None:
                log.info("S2 values carry an offset of %+d, according to %s", *image.offset[:2])
        files = [Path(file) for image in images.values() for raster in image.rasters for file in raster.source.files]
        yield Scene(layers, header, files)


def check_values(scene: Scene) -> None:
    """Checks sample pixels for wrong units, a wrong offset or a wrong order of bands.

    Raises:
        ValueError: One of them is clearly wrong.
    """
    for layer in scene.layers:
        judge(layer.image)


def _open_rasters(stack: ExitStack, modality: str, path: Path) -> list[Raster]:
    if path.is_dir():
        return _open_folder(stack, modality, path)
    return [raster_of(path, modality, stack.enter_context(opened(path, NAMED_BY_USER)))]


def _open_folder(stack: ExitStack, modality: str, path: Path) -> list[Raster]:
    """One file per band, also deep in a product; of a band at several resolutions the finest."""
    finest: dict[str, list[tuple[Path, Any]]] = {}
    for file in sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES):
        name = band_of_file(modality, file.stem)
        if name is None or "QI_DATA" in file.parts:
            continue
        source = stack.enter_context(opened(file, RASTERS))
        described = [band_of(modality, text) for text in source.descriptions if text]
        if other := [known for known in described if known not in (None, name)]:
            raise ValueError(f"{file} is {name} by its name and {other[0]} by its band description: correct one")
        pixels = [abs(one.transform.a) for one in (source, *(known for _, known in finest.get(name, [])[:1]))]
        if pixels[0] < pixels[-1]:
            finest[name] = []
        if pixels[0] <= pixels[-1]:
            finest.setdefault(name, []).append((file, source))
    if not finest:
        known = [band.name for band in BANDS[modality]]
        raise ValueError(
            f"{path} holds no bands of {modality}: files named after {' '.join(known)} are needed, e.g. {known[0]}.tif "
            "or T32TPS_20230101T103421_B02.jp2"
        )
    for name, ((first, _), *others) in finest.items():
        if others:
            raise ValueError(
                f"{path} holds {name} several times, e.g. in {first} and {others[0][0]}: give the folder of one "
                "product and date"
            )
    return [raster_of(file, modality, source, name) for name, [(file, source)] in finest.items()]
