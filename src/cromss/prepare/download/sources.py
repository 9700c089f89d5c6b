"""What can be downloaded: Sentinel images and OSM labels of tiles, and archives."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cromss.dataset.classes import CLASSES
from cromss.prepare.download.archives import Archive, fetch_archive
from cromss.prepare.download.earth_engine import EarthEngine, fetch_image, sentinel1, sentinel2
from cromss.prepare.download.manifest import Part, Report, fetch_each
from cromss.prepare.download.osm import Drawing, fetch_labels, find_colours, hex_names
from cromss.prepare.download.retry import Network
from cromss.prepare.download.tiles import Tile, read_tiles
from cromss.prepare.download.wms import MapService

log = logging.getLogger(__name__)


def download(source: str, out: Path, options: Mapping[str, Any]) -> Report:
    """Downloads a source into a folder, and resumes where an earlier run ended.

    Args:
        source: A key of `DOWNLOADS`.
        out: Folder; files appear in it when they are complete, and ``download.csv`` lists the result of each.
        options: ``network``, see `Network`, and for each source the keywords of its function in `DOWNLOADS`.

    Returns:
        What was done. It lists failures, which do not end the run; `Report.check` raises them.

    Raises:
        ValueError: The source cannot be downloaded, or nothing can be started.
        OSError: A service cannot be reached at the start, or `out` cannot be written.
    """
    if source not in DOWNLOADS:
        raise ValueError(f"source={source} cannot be downloaded: choose one of {', '.join(DOWNLOADS)}")
    return DOWNLOADS[source](out, Network(**options["network"]), **options[source])


def download_dw(
    out: Path, network: Network, tiles: str | None, again: bool, project: str | None, url: str, days: int, cloud: float
) -> Report:
    """Fetches Sentinel-2 and -1 images of tiles: ``out/{s2,s1}/{s2,s1}_<id>.tif``.

    Args:
        out: Folder to write to.
        network: Rate and retries of requests.
        tiles: CSV of the tiles, see `read_tiles`.
        again: Whether to ask again for tiles without an image.
        project: See `EarthEngine`.
        url: See `EarthEngine`.
        days: Window after and before the tile's date, from 1; see `fetch_image`.
        cloud: Upper limit of the cloud cover of Sentinel-2 images, percent.
    """
    found = _tiles(tiles)
    client = EarthEngine(network, project, url)
    parts = [
        Part(name, partial(_target, out, name), partial(fetch_image, client, sensor, days))
        for name, sensor in {"s2": sentinel2(cloud), "s1": sentinel1()}.items()
    ]
    return fetch_each(found, parts, out / "download.csv", again)


def download_osm(
    out: Path,
    network: Network,
    tiles: str | None,
    again: bool,
    url: str,
    layer: str,
    legend: str | Sequence[str] | None,
    margin: float,
    scale: int,
    opening: int,
) -> Report:
    """Fetches OpenStreetMap labels of tiles: ``out/osm/osm_<id>.tif``.

    Args:
        out: Folder to write to.
        network: Rate and retries of requests.
        tiles: CSV of the tiles, see `read_tiles`.
        again: Whether to ask again for tiles without a label.
        url: Address of the WMS.
        layer: Layer of the WMS.
        legend: See `find_colours`.
        margin: See `Drawing`; 0 to 1.
        scale: See `Drawing`; 1 to 8.
        opening: See `Drawing`; 1 to 99.
    """
    found = _tiles(tiles)
    service = MapService(network, url, layer)
    drawing = Drawing(find_colours(legend, service), margin, scale, opening)
    names = ["no label", *CLASSES["osm"]]
    listed = ", ".join(f"{colour} {name}" for colour, name in zip(hex_names(drawing.colours), names, strict=True))
    log.info("colours of codes 0 to 13: %s", listed)
    part = Part("osm", partial(_target, out, "osm"), partial(fetch_labels, service, drawing))
    return fetch_each(found, [part], out / "download.csv", again)


def download_archives(out: Path, network: Network, archives: Sequence[Mapping[str, Any]], select: str) -> Report:
    """Fetches archives: ``out/<name>``.

    Args:
        out: Folder to write to.
        network: Rate and retries of requests.
        archives: Mappings of ``url`` and ``sha256``, see `Archive`.
        select: Shell pattern of the names to fetch, e.g. ``*nol*``.
    """
    found = {archive.name: archive for archive in (Archive(**entry) for entry in archives)}
    if len(found) != len(archives):
        raise ValueError("download.ssl4eo_s12.archives has two files of one name: download them to two folders")
    chosen = {name: archive for name, archive in found.items() if fnmatch.fnmatch(name, select)}
    if not chosen:
        raise ValueError(f"download.ssl4eo_s12.select={select} matches no archive: there are {', '.join(found)}")
    part: Part[Archive] = Part("archive", lambda archive: out / archive.name, partial(fetch_archive, network))
    return fetch_each(chosen, [part], out / "download.csv", again=True)


DOWNLOADS: Mapping[str, Callable[..., Report]] = {
    "dw": download_dw,
    "osm": download_osm,
    "ssl4eo_s12": download_archives,
}
"""Source -> what fetches it; ``(out, network, **options)``."""


def _tiles(path: str | None) -> dict[str, Tile]:
    if path is None:
        raise ValueError("download.tiles=… is missing: the CSV of the tiles")
    return {tile.id: tile for tile in read_tiles(Path(path).expanduser())}


def _target(out: Path, part: str, tile: Tile) -> Path:
    return out / part / f"{part}_{tile.id}.tif"
