"""Downloads real example locations, as folders of GeoTIFFs for training and for stores."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pooch
from rasterio import Affine
from requests import RequestException
from tqdm import tqdm

from cromss.dataset.classes import CLASSES
from cromss.dataset.folder import FolderReader
from cromss.dataset.geotiff import header_of, opened
from cromss.dataset.imagery.labels import codes_of
from cromss.io.atomic import new_folder, write_file
from cromss.io.plain import Record, parse, read_file, read_yaml
from cromss.io.redact import redact
from cromss.prepare.geotiff import write_geotiff
from cromss.types import IGNORE_INDEX

log = logging.getLogger(__name__)
pooch.get_logger().setLevel(logging.WARNING)  # this module logs what matters

LABELS = "labels.tif"
"""Derived from ``lulc.tif``: a class of Dynamic World, or 255."""


_SECONDS = 30
"""Seconds to wait for an answer of the server."""


class Registry(Record):
    """The published files, see ``examples.yaml``."""

    source: str
    licence: str
    folders: dict[str, str]
    codes: dict[str, int]
    locations: dict[str, dict[str, str | None]]


def fetch_examples(out: Path, url: str) -> int:
    """Fetches all locations: ``out/<location>/{s1,s2,lulc,labels}.tif``, and ``out/SOURCE.md`` with source and licence.

    Args:
        out: Folder of the locations, which appears when it is complete.
        url: Address of the folder that holds the files.

    Returns:
        Number of locations.

    Raises:
        ValueError: `out` exists, there is no network, the server has no such file, or a file has another checksum or
            cannot be read.
        OSError: `out` cannot be written.
    """
    registry = _registry()
    with new_folder(out) as folder:
        rows = []
        for location, sums in tqdm(registry.locations.items(), desc="fetching", unit="location"):
            for name, sha256 in sums.items():
                address = f"{url.rstrip('/')}/{registry.folders[name]}/{location}.tif"
                file = folder / location / f"{name}.tif"
                _fetch(address, sha256, file)
                known = "known before" if sha256 else "not known before"
                rows.append(f"| {location}/{file.name} | {address} | {pooch.file_hash(file)} | {known} |")
            _write_labels(folder / location, registry.codes)
        _check(folder)
        write_file(folder / "SOURCE.md", _source(registry, rows).encode())
    if unknown := sum(sha256 is None for sums in registry.locations.values() for sha256 in sums.values()):
        log.warning("%d files have no checksum to compare with: SOURCE.md lists what they have", unknown)
    return len(registry.locations)


def _registry() -> Registry:
    return parse(Registry, read_yaml(read_file(Path(__file__).with_suffix(".yaml"))))


def _fetch(url: str, sha256: str | None, file: Path) -> None:
    downloader = pooch.HTTPDownloader(timeout=_SECONDS)
    try:
        pooch.retrieve(url, sha256, fname=file.name, path=file.parent, downloader=downloader)
    except RequestException as error:
        raise ValueError(
            f"{redact(url)} cannot be fetched ({redact(str(error))}): examples need the network; "
            "action=export makes a scene without it"
        ) from error
    except ValueError as error:  # the error of pooch for a wrong checksum
        raise ValueError(
            f"{redact(url)} has not the checksum {sha256} of the published file: it is damaged or was replaced; "
            "fetch it again"
        ) from error


def _write_labels(folder: Path, codes: Mapping[str, int]) -> None:
    """The land cover map in classes of Dynamic World."""
    classes = list(CLASSES["dynamic_world"])
    file = folder / "lulc.tif"
    with opened(file) as source:
        stored, known = codes_of(file, source)
        header = header_of(source)
    labels = np.full(stored.shape, IGNORE_INDEX, np.uint8)
    for name, code in codes.items():
        labels[known & (stored == code)] = classes.index(name)
    crs = None if header.crs == "none" else header.crs
    write_geotiff(folder / LABELS, labels[None], crs, Affine(*header.transform), ["class"], nodata=IGNORE_INDEX)


def _check(folder: Path) -> None:
    """ValueError unless the files can be read as locations."""
    try:
        classes = tuple(CLASSES["dynamic_world"])
        FolderReader(folder, {"s1": "s1.tif", "s2": "s2.tif"}, LABELS, None, classes, None, {})
    except ValueError as error:
        raise ValueError(f"the downloaded files are not the published ones: {error}") from error


def _source(registry: Registry, rows: list[str]) -> str:
    return "\n".join(
        [
            "# Real example locations",
            "",
            f"Source: {registry.source}. Licence: {registry.licence}.",
            "`s1.tif`, `s2.tif` and `lulc.tif` are as they were published; `labels.tif` has the classes of Dynamic",
            "World that `lulc.tif` names, and 255 elsewhere.",
            "",
            "| file | address | sha256 | checksum |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )
