"""Writes a scene of the embedded world as GeoTIFFs, for trying out maps without any data."""

from __future__ import annotations

from pathlib import Path

from rasterio import Affine

from cromss.dataset.bands import BANDS
from cromss.dataset.classes import CLASSES
from cromss.io.atomic import new_folder
from cromss.io.package_data import config_dir
from cromss.io.plain import read_file, read_yaml
from cromss.prepare.geotiff import write_geotiff
from cromss.synthetic import generate_location
from cromss.types import IGNORE_INDEX

CRS = "EPSG:32632"
"""The world is not on Earth; its scenes get coordinates so that GIS software can show them."""

TRANSFORM = Affine(10, 0, 500_000, 0, -10, 5_300_000)


def export_scene(out: Path, world: int, location: int, size: int, noise: float) -> None:
    """Writes ``s1.tif``, ``s2.tif``, ``dw.tif`` (noisy labels) and ``truth.tif`` of one location and season.

    S1 is in dB, S2 is reflectance x 10000 without an offset, labels are classes from 0, and 255 without a label.
    All have one grid of 10 m. The rates of landscape and noise are those of ``conf/dataset/_synthetic_scene.yaml``.

    Args:
        out: Folder of the files, which appears when it is complete.
        world: Seed of the landscapes; one that training does not use makes a scene that no network has seen.
        location: Number of the location in that world; it decides the kind of landscape.
        size: Pixels per side.
        noise: Factor on all noise rates of the labels.

    Raises:
        ValueError: `out` exists, or a number is not allowed.
        OSError: `out` cannot be written.
    """
    rates = read_yaml(read_file(config_dir() / "dataset" / "_synthetic_scene.yaml"))
    tags = {"SOURCE": f"embedded world of cromss: world {world}, location {location}, noise {noise:g}"}
    classes = {f"CLASS_{number}": name for number, name in enumerate(CLASSES["dynamic_world"])}
    with new_folder(out) as folder:
        scene = generate_location(location, seed=world, size=size, seasons=1, noise=noise, **rates)
        tags["LANDSCAPE"] = scene.biome
        for modality, images in scene.images.items():
            names = [band.name for band in BANDS[modality]]
            added = {"RADIO_ADD_OFFSET": "0"} if modality == "s2" else {}
            write_geotiff(folder / f"{modality}.tif", images[0], CRS, TRANSFORM, names, tags=tags | added)
        for name, labels in {"dw": scene.labels, "truth": scene.truth}.items():
            file = folder / f"{name}.tif"
            write_geotiff(file, labels[:1], CRS, TRANSFORM, ["class"], nodata=IGNORE_INDEX, tags=tags | classes)
